#include "updater/fetch/remote_source.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <vector>

#include "updater/base/atomic_file.h"
#include "updater/base/mask.h"
#include "updater/fetch/worker.h"
#include "updater/source/archive.h"
#include "updater/source/files.h"
#include "updater/source/repo.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// What a worker writes for people, fit for their terminals.
std::string Plain(std::string text) {
  std::ranges::replace_if(text, [](char c) { return (c < ' ' && c != '\n') || c > '~'; }, '?');
  return text;
}

Error Lost(Error error) {
  return {error.code,
          std::format("hostos-fetch@.service: {}; what it said: journalctl -u 'hostos-fetch@*'",
                      error.message)};
}

Result<uint64_t> Number(const tuf::Json& answer, const char* key) {
  const tuf::Object object = TRY(tuf::Object::From(answer, "answer"));
  return static_cast<uint64_t>(TRY(object.Integer(key, 0)));
}

// The failure that a worker answered with. That there is nothing to do, or not now, or not with
// this release, is for the writer to find out: from a worker it is a failure like any other.
Result<> CheckSuccess(const tuf::Json& json) {
  const tuf::Object answer = TRY(tuf::Object::From(json, "answer"));
  if (!answer.Has("error")) return {};
  const auto found = static_cast<Code>(TRY(answer.Integer("error", 0)));
  using enum Code;
  const bool usual = std::ranges::contains(
      std::array{kUsage, kNotTrusted, kNetwork, kNoSpace, kNotSupported, kNotFound}, found);
  return std::unexpected(
      Error{usual ? found : kFailed, Masked(Plain(TRY(answer.Text("message"))))});
}

// Only root can read it; the worker gets it with what it is asked for, and keeps it nowhere.
Result<std::string> ReadToken(const OstreeSourceOptions& options) {
  if (options.token_file.empty() || IsLocal(options.url)) return options.http.token;
  std::string token = TRY(ReadSecretFile(options.token_file));
  while (token.ends_with('\n') || token.ends_with('\r')) token.pop_back();
  if (!token.empty() && std::ranges::all_of(token, [](char c) { return c > ' ' && c <= '~'; }))
    return token;
  return Fail(Code::kUsage, "{}: expected a token of one line without spaces, found none",
              options.token_file);
}

// What is given to the worker of this machine's files: a bundle, or a directory as a mount of its
// own that is nowhere else, from which ".." leads nowhere. Where the directory can't be that,
// nothing, and why: then the worker opens it by itself, if its sandbox has it.
Result<UniqueFd> OpenToGive(const std::string& path, std::string& why_not) {
  UniqueFd file = TRY(hostos::Open(path, O_RDONLY | O_NONBLOCK));
  struct stat status;
  if (::fstat(file.get(), &status) < 0) return FailErrno(path);
  if (S_ISREG(status.st_mode)) return file;
  if (!S_ISDIR(status.st_mode))
    return Fail(Code::kUsage, "{}: expected a directory or a file, found neither", path);
  UniqueFd tree(::open_tree(file.get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  mount_attr attributes{};
  attributes.attr_set =
      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  attributes.propagation = MS_PRIVATE;
  if (tree && ::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0)
    return tree;
  why_not = std::format("; {} could not be mounted for the process that reads it: {}", path,
                        std::generic_category().message(errno));
  return UniqueFd();
}

constexpr size_t kMaxFilesBytes = 32 << 20;  // metadata and a commit, many times over

// What a worker found of a repository.
class GivenFiles : public tuf::Fetcher {
 public:
  static Result<GivenFiles> Receive(const Channel& channel, const std::vector<std::string>& names) {
    GivenFiles given;
    for (size_t left = kMaxFilesBytes; const std::string& name : names) {
      std::string bytes = TRY(channel.Receive(left).transform_error(Lost));
      left -= bytes.size();
      given.files_[name] = std::move(bytes);
    }
    return given;
  }
  Result<std::string> Fetch(const std::string& path, size_t cap) override {
    const auto file = files_.find(path);
    if (file == files_.end()) return Fail(Code::kNotFound, "{}: not found", path);
    if (file->second.size() > cap)
      return Fail(Code::kNotTrusted, "{}: expected at most {} bytes, found {}", path, cap,
                  file->second.size());
    return file->second;
  }

 private:
  std::map<std::string, std::string> files_;
};

}  // namespace

Result<> RemoteSource::Connect() {
  if (channel_) return {};
  const std::string token = TRY(ReadToken(options_));
  UniqueFd directory;
  if (IsLocal(options_.url)) directory = TRY(OpenToGive(options_.url, not_given_));
  UniqueFd socket = TRY(connect_());
  TRY(SetPatience(socket.get(), patience_));
  channel_.emplace(std::move(socket));
  const tuf::Json request = {{"call", "connect"},
                             {"url", options_.url},
                             {"product", options_.product},
                             {"channel", options_.channel},
                             {"architecture", options_.architecture},
                             {"parent", options_.parent},
                             {"damaged", options_.damaged},
                             {"proxy", options_.http.proxy},
                             {"token", token},
                             {"keys", options_.key_directories},
                             {"policy", static_cast<int>(options_.signatures.policy)},
                             {"required", options_.signatures.required}};
  Result<> connected = Request(request, directory.get());
  if (connected) connected = Answer(patience_).transform([](const auto&) {});
  if (!connected) channel_.reset();
  return connected;
}

Result<> RemoteSource::Request(const tuf::Json& request, int descriptor) {
  TRY(Connect());
  return Send(request.dump(), descriptor);
}

// A worker that is gone said why, if it could: that came before nobody listened.
Result<> RemoteSource::Send(std::string_view message, int descriptor) {
  const Result<> sent = channel_->Send(message, descriptor);
  if (sent) return {};
  if (const Result<tuf::Json> said = Outcome(patience_)) TRY(CheckSuccess(*said));
  return std::unexpected(Lost(sent.error()));
}

Result<tuf::Json> RemoteSource::Answer(Seconds limit, Progress* progress) {
  tuf::Json answer = TRY(Outcome(limit, progress));
  TRY(CheckSuccess(answer));
  return answer;
}

Result<tuf::Json> RemoteSource::Outcome(Seconds limit, Progress* progress) {
  SystemClock clock;
  for (const Milliseconds end = clock.Monotonic() + limit; clock.Monotonic() < end;) {
    const std::string text = TRY(channel_->Receive().transform_error(Lost));
    tuf::Json json = TRY(tuf::ParseJson(text, kMaxMessageBytes).transform_error(Lost));
    const tuf::Object answer = TRY(tuf::Object::From(json, "answer").transform_error(Lost));
    if (!answer.Has("done")) return json;
    const uint64_t done = TRY(Number(json, "done")), total = TRY(Number(json, "total"));
    if (progress) progress->Bytes(std::min(done, total), total);
  }
  return std::unexpected(
      Lost({Code::kNetwork,
            std::format("expected to be done within {} s, found progress only", limit.count())}));
}

Result<tuf::Json> RemoteSource::Call(const tuf::Json& request, int descriptor) {
  TRY(Request(request, descriptor));
  return Answer(patience_);
}

Result<Target> RemoteSource::Resolve(const std::optional<std::string>& version, uint64_t now) {
  TRY(verifier_.PrepareMetadata());
  tuf::Json request = {{"call", "resolve"}, {"now", now}, {"metadata", tuf::Json::array()}};
  if (version) request["version"] = *version;
  std::vector<std::string> trusted;
  std::error_code error;
  for (fs::directory_iterator file(options_.metadata, error), end; !error && file != end;
       file.increment(error)) {
    if (file->path().extension() != ".json") continue;  // a later version's, or a write cut off
    request["metadata"].push_back(file->path().filename());
    trusted.push_back(TRY(ReadFile(file->path(), tuf::kTargetsCap)));
  }
  if (error) return FailErrno(options_.metadata, error.value());
  TRY(Request(request));
  for (const std::string& bytes : trusted) TRY(Send(bytes));
  const tuf::Json answer = TRY(Outcome(patience_));
  const tuf::Object object = TRY(tuf::Object::From(answer, "answer").transform_error(Lost));
  const Result<> resolved = CheckSuccess(answer).transform_error([&](Error failure) {
    failure.message += not_given_;
    return failure;
  });
  if (!resolved && !object.Has("files")) return std::unexpected(resolved.error());
  const std::vector<std::string> names = TRY(object.Texts("files").transform_error(Lost));
  GivenFiles files = TRY(GivenFiles::Receive(*channel_, names));
  // Also of a worker that failed: what it found before is trusted from now on, where it holds.
  const Result<Target> verified = verifier_.Resolve(files, version, now);
  TRY(resolved);
  const Target target = TRY(verified);
  used_ = target.release.commit;
  return target;
}

// Of a release that was resolved in an earlier run, the worker knows nothing.
Result<> RemoteSource::Use(const Target& target) {
  if (used_ == target.release.commit) return {};
  TRY(Request({{"call", "use"}}));
  for (const std::string& bytes : {target.commit, target.signatures}) TRY(Send(bytes));
  TRY(Answer(patience_));
  used_ = target.release.commit;
  return {};
}

Result<FetchPlan> RemoteSource::Plan(const Target& target) {
  TRY(Use(target));
  const tuf::Json answer = TRY(Call({{"call", "plan"}}));
  return FetchPlan{.objects = TRY(Number(answer, "objects")),
                   .download_bytes = TRY(Number(answer, "download")),
                   .unpacked_bytes = TRY(Number(answer, "unpacked")),
                   .reused_bytes = TRY(Number(answer, "reused")),
                   .removed = {.bytes = TRY(Number(answer, "removed-bytes")),
                               .inodes = TRY(Number(answer, "removed-inodes"))}};
}

Result<FetchStats> RemoteSource::Fetch(const Target& target, Progress& progress) {
  const Commit commit = TRY(ParseCommit(target.commit));
  uint64_t bytes = 0;
  for (const ObjectSize& object : commit.sizes) bytes += object.archived;
  TRY(Use(target));
  TRY(RequestFetch(commit));
  const HttpOptions& http = options_.http;
  const tuf::Json answer =
      TRY(Answer(patience_ + http.pull_time + Seconds(bytes / http.pull_rate), &progress));
  return FetchStats{.objects = TRY(Number(answer, "objects")),
                    .bytes = TRY(Number(answer, "bytes"))};
}

// The content objects of a repository that only root may read; of a damaged one those that are
// whole.
static Result<> AddPrivate(const std::string& path, bool damaged, const Commit& commit,
                           std::map<std::string, std::string>& contents) {
  const Repo repo = TRY(Repo::Open(path));
  for (const ObjectSize& object : commit.sizes) {
    if (object.type != ObjectType::kFile) continue;
    const std::string file = path + "/" + ObjectPath(object.checksum, "file");
    struct stat status;
    if (::lstat(file.c_str(), &status) < 0 || !S_ISREG(status.st_mode) ||
        (status.st_mode & S_IROTH))
      continue;
    Result<std::string> content = repo.ReadContent(object.checksum);
    if (content && Sha256::Of(AsBytes(*content)) != object.checksum)
      content = Fail(Code::kNotTrusted, "{}: is not what it is named after", file);
    if (content) contents[object.checksum.Hex()] = *std::move(content);
    if (!content && !damaged) return std::unexpected(content.error());
  }
  return {};
}

// A worker is not root: what of the releases on this machine only root may read, it is given.
Result<> RemoteSource::RequestFetch(const Commit& commit) {
  std::map<std::string, std::string> contents;
  if (!options_.parent.empty()) TRY(AddPrivate(options_.parent, false, commit, contents));
  for (const std::string& damaged : options_.damaged)
    (void)AddPrivate(damaged, true, commit, contents);
  TRY(Request({{"call", "fetch"}, {"objects", contents.size()}}));
  for (const auto& [name, content] : contents)
    for (const std::string& message : {name, content}) TRY(Send(message));
  return {};
}

Result<Checkout> RemoteSource::Open(const Target& target) {
  auto [image, writer] = TRY(StreamPair());
  TRY(SetPatience(image.get(), patience_));
  TRY(Use(target));
  TRY(Call({{"call", "open"}}, writer.get()));
  writer = {};
  UniqueFd uki = TRY_CONTEXT("UKI", ReceiveUki(image.get(), target.release));
  auto sent = std::async(std::launch::deferred, [this]() -> Result<> {
    TRY(Answer(patience_));
    return {};
  });
  return Checkout{std::move(sent), std::move(image), std::move(uki)};
}

// Into memory, where nobody else gets at it.
Result<UniqueFd> RemoteSource::ReceiveUki(int stream, const Release& release) {
  UniqueFd uki(::memfd_create("uki", MFD_CLOEXEC));
  if (!uki) return FailErrno("memfd_create");
  Sha256 hash;
  std::vector<std::byte> buffer(1 << 20);
  for (uint64_t left = release.uki_size; left > 0;) {
    std::span<std::byte> piece = std::span(buffer).first(std::min<uint64_t>(left, buffer.size()));
    const Result<size_t> found = ReadFull(stream, piece);
    if (found && *found < piece.size()) TRY(Answer(patience_));  // why it ended
    if (!found || *found < piece.size())
      return std::unexpected(
          Lost({Code::kNetwork,
                std::format("expected {} bytes in time, found less", release.uki_size)}));
    hash.Update(piece);
    TRY(WriteFull(uki.get(), piece));
    left -= piece.size();
  }
  if (const Digest found = hash.Finish(); found != release.uki_digest)
    return Fail(Code::kNotTrusted, "expected SHA-256 {} as signed, found {}",
                release.uki_digest.Hex(), found.Hex());
  if (::lseek(uki.get(), 0, SEEK_SET) < 0) return FailErrno("lseek");
  return uki;
}

Result<Space> RemoteSource::StagingFree() {
  const tuf::Json answer = TRY(Call({{"call", "staging-free"}}));
  return Space{.bytes = TRY(Number(answer, "bytes")), .inodes = TRY(Number(answer, "inodes"))};
}

Result<> RemoteSource::Discard() {
  TRY(Call({{"call", "discard"}}));
  return {};
}

}  // namespace hostos
