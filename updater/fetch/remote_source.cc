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
#include "updater/release/commit.h"
#include "updater/release/secret_text.h"
#include "updater/source/archive.h"
#include "updater/source/files.h"
#include "updater/source/repo.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// Makes a worker's text fit for a terminal.
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

Result<Traffic> ReadTraffic(const tuf::Json& answer) {
  Traffic moved;
  moved.bytes = TRY(Number(answer, "moved-bytes"));
  moved.requests = TRY(Number(answer, "moved-requests"));
  moved.pack_bytes = TRY(Number(answer, "pack-bytes"));
  moved.pack_requests = TRY(Number(answer, "pack-requests"));
  constexpr uint64_t kMost = uint64_t{1} << 48;  // many times what a release has
  for (uint64_t* value : {&moved.bytes, &moved.requests, &moved.pack_bytes, &moved.pack_requests})
    *value = std::min(*value, kMost);
  return moved;
}

// The failure in a worker's answer, if any. That there is nothing to do, that it is not the time,
// or that a release is refused are findings for the engine to make: from a worker they become
// kFailed.
Result<> CheckSuccess(const tuf::Json& json) {
  const tuf::Object answer = TRY(tuf::Object::From(json, "answer"));
  if (!answer.Has("error")) return {};
  const auto found = static_cast<Code>(TRY(answer.Integer("error", 0)));
  using enum Code;
  const bool usual = std::ranges::contains(
      std::array{kUsage, kNotTrusted, kNetwork, kNoSpace, kNotSupported, kNotFound}, found);
  const std::string message = TRY(answer.Text("message"));
  return std::unexpected(Error{usual ? found : kFailed, Masked(Plain(message))});
}

// Only root can read the token. The worker gets it with its first request, and stores it nowhere.
Result<std::string> ReadToken(const SourceOptions& options) {
  if (options.token_file.empty() || IsLocal(options.url)) return options.http.token;
  std::string token = TRY(ReadSecretFile(options.token_file));
  while (token.ends_with('\n') || token.ends_with('\r')) token.pop_back();
  if (!token.empty() && std::ranges::all_of(token, [](char c) { return c > ' ' && c <= '~'; }))
    return token;
  return Fail(Code::kUsage, "{}: expected a token of one line without spaces, found none",
              options.token_file);
}

// What the worker is given of this machine's files: a bundle, or a directory as a detached mount of
// its own, from which ".." leads nowhere. If the directory cannot be mounted that way: nothing, and
// the reason in `why_not`. Then the worker opens it itself, if its sandbox lets it.
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

constexpr size_t kMaxFilesBytes = 32 << 20;  // many times the metadata and a commit

// The files of a repository that a worker found.
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
  tuf::Json request = {{"call", "connect"},
                       {"url", options_.url},
                       {"product", options_.product},
                       {"channel", options_.channel},
                       {"architecture", options_.architecture},
                       {"parent", options_.parent},
                       {"damaged", options_.damaged},
                       {"holds", tuf::Json::array()},
                       {"rate-limit", options_.http.rate_limit},
                       {"proxy", options_.http.proxy},
                       {"token", token},
                       {"keys", options_.key_directories},
                       {"policy", static_cast<int>(options_.signatures.policy)},
                       {"required", options_.signatures.required}};
  for (const Digest& root_hash : options_.holds) request["holds"].push_back(root_hash.Hex());
  Result<> connected = Request(request, directory.get());
  if (connected) connected = Answer(patience_).transform([](const auto&) {});
  if (!connected) channel_.reset();
  return connected;
}

Result<> RemoteSource::Request(const tuf::Json& request, int descriptor) {
  TRY(Connect());
  return Send(request.dump(), descriptor);
}

// A worker that is gone may have said why before it went.
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
  TRY(resolver_.PrepareMetadata());
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
  // It says nothing while the files come in.
  const Seconds patience = patience_ + options_.http.LimitedTime(kMaxFilesBytes);
  TRY(channel_->SetPatience(patience));
  const tuf::Json answer = TRY(Outcome(patience));
  TRY(channel_->SetPatience(patience_));
  const tuf::Object object = TRY(tuf::Object::From(answer, "answer").transform_error(Lost));
  const Result<> resolved = CheckSuccess(answer).transform_error([&](Error failure) {
    failure.message += not_given_;
    return failure;
  });
  if (!resolved && !object.Has("files")) return std::unexpected(resolved.error());
  const std::vector<std::string> names = TRY(object.Texts("files").transform_error(Lost));
  GivenFiles files = TRY(GivenFiles::Receive(*channel_, names));
  // Resolved even if the worker failed: what it found until then is trusted from now on, if it
  // holds.
  const Result<Target> verified = resolver_.Resolve(files, version, now);
  TRY(resolved);
  const Target target = TRY(verified);
  given_.insert(target.release.commit);
  return target;
}

// The worker does not know a release that an earlier run resolved.
Result<> RemoteSource::Give(const Target& target) {
  if (given_.contains(target.release.commit)) return {};
  TRY(Request({{"call", "verify"}}));
  for (const std::string& bytes : {target.bytes, target.signatures}) TRY(Send(bytes));
  TRY(Answer(patience_));
  given_.insert(target.release.commit);
  return {};
}

Result<FetchPlan> RemoteSource::Plan(const Target& target) {
  TRY(Give(target));
  const tuf::Json answer = TRY(Call({{"call", "plan"}, {"commit", target.release.commit.Hex()}}));
  FetchPlan plan;
  plan.objects = TRY(Number(answer, "objects"));
  plan.download_bytes = TRY(Number(answer, "download"));
  plan.unpacked_bytes = TRY(Number(answer, "unpacked"));
  plan.reused_bytes = TRY(Number(answer, "reused"));
  const tuf::Object object = TRY(tuf::Object::From(answer, "answer"));
  plan.packed = TRY(object.Flag("packed"));
  plan.removed.bytes = TRY(Number(answer, "removed-bytes"));
  plan.removed.inodes = TRY(Number(answer, "removed-inodes"));
  return plan;
}

Result<ReleaseChanges> RemoteSource::Changes(const Target& target) {
  const ChangesFile& file = *target.changes;
  if (file.size > kMaxChangesBytes)
    return Fail(Code::kNotTrusted, "{}: expected at most {} bytes, found {} as signed", file.path,
                kMaxChangesBytes, file.size);
  TRY(Give(target));
  TRY(Call({{"call", "changes"}, {"path", file.path}, {"size", file.size}}));
  const std::string bytes = TRY(channel_->Receive(kMaxChangesBytes).transform_error(Lost));
  if (const Digest found = Sha256::Of(AsBytes(bytes)); found != file.digest)
    return Fail(Code::kNotTrusted, "{}: expected SHA-256 {} as signed, found {}", file.path,
                file.digest.Hex(), found.Hex());
  return TRY_CONTEXT(file.path, ParseChanges(bytes));
}

Result<FetchStats> RemoteSource::Fetch(const Target& target, Progress& progress) {
  moved_ = {};
  uint64_t bytes = 0;
  for (const ObjectSize& object : target.sizes) bytes += object.archived;
  TRY(Give(target));
  TRY(RequestFetch(target));
  const tuf::Json answer = TRY(Outcome(patience_ + options_.http.PullTime(bytes), &progress));
  if (const Result<Traffic> moved = ReadTraffic(answer)) moved_ = *moved;  // failed or not
  TRY(CheckSuccess(answer));
  FetchStats stats;
  stats.objects = TRY(Number(answer, "objects"));
  stats.bytes = TRY(Number(answer, "bytes"));
  const tuf::Object object = TRY(tuf::Object::From(answer, "answer"));
  stats.problem = Plain(TRY(object.Text("problem")));
  return stats;
}

// The content objects of a repository that only root may read. Of a damaged repository, those that
// are whole.
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
    if (content)
      contents[object.checksum.Hex()] = *std::move(content);
    else if (!damaged)
      return std::unexpected(content.error());
  }
  return {};
}

// A worker is not root: it is given those objects of the releases on this machine that only root
// may read.
Result<> RemoteSource::RequestFetch(const Commit& commit) {
  std::map<std::string, std::string> contents;
  if (!options_.parent.empty()) TRY(AddPrivate(options_.parent, false, commit, contents));
  for (const std::string& damaged : options_.damaged)
    (void)AddPrivate(damaged, true, commit, contents);
  TRY(Request(
      {{"call", "fetch"}, {"commit", commit.release.commit.Hex()}, {"objects", contents.size()}}));
  for (const auto& [name, content] : contents)
    for (const std::string& message : {name, content}) TRY(Send(message));
  return {};
}

Result<Checkout> RemoteSource::Open(const Target& target) {
  auto [image, writer] = TRY(StreamPair());
  TRY(SetPatience(image.get(), patience_));
  TRY(Give(target));
  TRY(Call({{"call", "open"}, {"commit", target.release.commit.Hex()}}, writer.get()));
  writer = {};
  UniqueFd uki = TRY_CONTEXT("UKI", ReceiveUki(image.get(), target.release));
  auto sent = std::async(std::launch::deferred, [this]() -> Result<> {
    TRY(Answer(patience_));
    return {};
  });
  return Checkout{std::move(sent), std::move(image), std::move(uki)};
}

// Into memory, where nobody else can reach it.
Result<UniqueFd> RemoteSource::ReceiveUki(int stream, const Release& release) {
  UniqueFd uki(::memfd_create("uki", MFD_CLOEXEC));
  if (!uki) return FailErrno("memfd_create");
  Sha256 hash;
  std::vector<std::byte> buffer(1 << 20);
  for (uint64_t left = release.uki_size; left > 0;) {
    std::span<std::byte> piece = std::span(buffer).first(std::min<uint64_t>(left, buffer.size()));
    const Result<size_t> found = ReadFull(stream, piece);
    if (found && *found < piece.size()) TRY(Answer(patience_));  // it says why
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
  Space free;
  free.bytes = TRY(Number(answer, "bytes"));
  free.inodes = TRY(Number(answer, "inodes"));
  return free;
}

Result<> RemoteSource::Discard() {
  TRY(Call({{"call", "discard"}}));
  return {};
}

}  // namespace hostos
