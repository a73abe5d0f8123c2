#include "updater/source/files.h"

#include "updater/release/commit.h"
#include "updater/source/archive.h"

namespace hostos {
namespace {

class HttpFiles : public tuf::Fetcher {
 public:
  HttpFiles(const std::string& url, const HttpOptions& options) : http_(options), url_(url + "/") {}
  Result<std::string> Fetch(const std::string& path, size_t cap) override {
    // These files are replaced, or appear where nothing was: a cache would hide that.
    const bool fresh = path.ends_with("timestamp.json") || path.ends_with(".root.json");
    return http_.Get(url_ + path, cap, fresh);
  }

 private:
  HttpClient http_;
  std::string url_;
};

}  // namespace

bool IsLocal(const std::string& url) {
  return url.starts_with('/');
}

std::string WithoutSlash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

Result<std::unique_ptr<tuf::Fetcher>> OpenFiles(const std::string& url, const HttpOptions& http) {
  if (!IsLocal(url)) return std::make_unique<HttpFiles>(url, http);
  return std::make_unique<Archive>(TRY(Archive::Open(url)));
}

Result<CommitFiles> FetchCommit(tuf::Fetcher& files, const Digest& checksum) {
  const std::string name = ObjectPath(checksum, "commit");
  std::string commit = TRY(files.Fetch(name, kMaxCommitBytes));
  if (const Digest found = Sha256::Of(AsBytes(commit)); found != checksum)
    return Fail(Code::kNotTrusted, "{}: expected content with SHA-256 {}, found {}", name,
                checksum.Hex(), found.Hex());
  Result<std::string> signatures = files.Fetch(name + "meta", kMaxDetachedBytes);
  if (!signatures && signatures.error().code != Code::kNotFound)
    return std::unexpected(std::move(signatures.error()));
  // A commit without a file of signatures carries none.
  return CommitFiles{name, std::move(commit), std::move(signatures).value_or("")};
}

}  // namespace hostos
