// Writes what is staged: for nodes once it is complete, for the next person who signs until then.
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "images/metadata_files.h"
#include "images/role_file.h"
#include "images/tuf_repository.h"
#include "updater/base/atomic_file.h"

namespace hostos {
namespace {

Result<> PutFile(const std::string& path, const std::string& content) {
  TRY(MakeDirectories(std::filesystem::path(path).parent_path()));
  return WriteFileAtomically(path, content);
}

}  // namespace

// Keeps what lacks signatures, for the next person who signs.
Result<> TufRepository::Keep() const {
  for (const auto& [path, content] : contents_) TRY(PutFile(path, content));
  for (const char* carried : {"/staged", "/targets"}) TRY(MakeDirectories(directory_ + carried));
  for (const auto& [role, draft] : drafts_) {
    const std::string path = std::format("{}/staged/{}.", directory_, role);
    TRY(WriteFileAtomically(path + "json", Document(draft.body, {})));
    for (const auto& [id, bytes] : draft.signatures) {
      const Json json = {{"keyid", id}, {"sig", bytes}, {"payload", PayloadDigest(draft.body)}};
      TRY(WriteFileAtomically(path + id.substr(0, 16) + ".json", json.dump(1) + "\n"));
    }
  }
  return Forget();
}

// Removes the files of what is no longer staged: signatures first, because alone they mean nothing.
Result<> TufRepository::Forget() const {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory_ + "/staged", error), end;
       !error && entry != end; entry.increment(error))
    names.push_back(entry->path().filename());
  if (error && error != std::errc::no_such_file_or_directory)
    return FailErrno(directory_ + "/staged", error.value());
  std::ranges::sort(names, std::ranges::greater(), &std::string::size);
  for (const std::string& name : names) {
    const std::string role = name.substr(0, name.find('.'));
    if (name.ends_with(".json") && !drafts_.contains(role) && !aside_.contains(role))
      TRY(RemoveFileDurably(directory_ + "/staged/" + name));
  }
  return {};
}

Result<> TufRepository::Publish() {
  std::map<std::string, std::string> files;
  for (const auto& [role, draft] : drafts_) {
    const std::string path = Metadata(role, draft.body["version"]);
    if (role != "timestamp" && ::access(path.c_str(), F_OK) == 0)
      return Fail(Code::kRefused,
                  "{}: expected no file there, found one, which nodes may have seen", path);
    files[std::filesystem::path(path).filename()] = TRY(DocumentOf(role));
  }
  for (const auto& [path, content] : contents_) TRY(PutFile(path, content));
  if (const auto timestamp = drafts_.find("timestamp"); timestamp != drafts_.end())
    TRY(WriteFileAtomically(directory_ + kLastTimestampFile,
                            timestamp->second.body["version"].dump() + "\n"));
  TRY(PublishMetadata(directory_, files));
  drafts_.clear();
  contents_.clear();
  return Forget();
}

}  // namespace hostos
