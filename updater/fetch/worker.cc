#include "updater/fetch/worker.h"

#include <linux/landlock.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <vector>

#include "updater/base/atomic_file.h"
#include "updater/base/mask.h"
#include "updater/release/commit.h"
#include "updater/seal/seal.h"
#include "updater/source/files.h"
#include "updater/source/resolver.h"
#include "updater/source/staging_repository.h"
#include "updater/tuf/json.h"

namespace hostos {
namespace {

using tuf::Json;

class ChannelProgress : public Progress {
 public:
  explicit ChannelProgress(const Channel& channel) : channel_(channel) {}
  void Begin(std::string_view, std::string_view) override {}
  void Bytes(uint64_t done, uint64_t total) override {
    // If nobody listens any more, no next request comes.
    (void)channel_.Send(Json{{"done", done}, {"total", total}}.dump());
  }

 private:
  const Channel& channel_;
};

// Copies the rest of a file.
Result<> Copy(int from, int to) {
  std::vector<std::byte> buffer(1 << 20);
  while (const size_t size = TRY(ReadFull(from, buffer)))
    TRY(WriteFull(to, std::span(buffer).first(size)));
  return {};
}

// Only root, or the user that this process runs as, has any business here, however the peer got in.
Result<> CheckPeer(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
    return FailErrno("SO_PEERCRED");
  if (peer.uid == 0 || peer.uid == ::geteuid()) return {};
  return Fail(Code::kUsage, "expected hostctl of root to ask, found process {} of user {}",
              peer.pid, peer.uid);
}

// Makes `directory` an empty directory.
Result<> Renew(const std::string& directory) {
  std::error_code error;
  std::filesystem::remove_all(directory, error);
  if (error) return FailErrno(directory, error.value());
  return MakeDirectories(directory);
}

class Worker {
 public:
  Worker(const Channel& channel, const std::string& directory)
      : channel_(channel), own_(directory) {
    options_.metadata = directory + "/tuf";
    options_.root = options_.metadata + "/root.json";
    options_.staging = directory + "/repo";
    options_.seal_formats.assign(kSealFormats.begin(), kSealFormats.end());
  }

  // False when nobody is there to take the answer.
  bool Handle(const std::string& request, UniqueFd descriptor) {
    Result<Json> answer = Do(request, std::move(descriptor));
    if (!answer) answer = FailureOf(answer.error());
    // What servers say may not be UTF-8.
    constexpr auto kReplace = Json::error_handler_t::replace;
    if (!channel_.Send(answer->dump(-1, ' ', false, kReplace))) return false;
    return std::ranges::all_of(std::exchange(found_, {}), [&](const NotedFile& file) {
      return channel_.Send(file.bytes).has_value();
    });
  }

  bool connected() const { return staging_.has_value(); }

 private:
  Result<Json> Do(const std::string& text, UniqueFd descriptor) {
    const Json json = TRY(tuf::ParseJson(text, kMaxMessageBytes));
    const tuf::Object request = TRY(tuf::Object::From(json, "request"));
    const std::string call = TRY(request.Text("call"));
    if (call == "connect") return Connect(request, std::move(descriptor));
    if (!staging_)
      return Fail(Code::kUsage, "request.call: expected connect first, found {}", call);
    if (call == "resolve") return Resolve(request);
    if (call == "verify") return Verify();
    if (call == "staging-free") return StagingFree();
    if (call == "discard") {
      TRY(staging_->Discard());
      return Json::object();
    }
    if (call == "plan") return Plan(request);
    if (call == "changes") return Changes(request);
    if (call == "fetch") return Fetch(request);
    if (call == "open") return Open(request, std::move(descriptor));
    return Fail(Code::kUsage, "request.call: found {}", call);
  }

  Result<Json> Connect(const tuf::Object& request, UniqueFd directory) {
    SourceOptions& o = options_;
    o.url = shown_ = TRY(request.Text("url"));
    o.product = TRY(request.Text("product"));
    o.channel = TRY(request.Text("channel"));
    o.architecture = TRY(request.Text("architecture"));
    o.parent = TRY(request.Text("parent"));
    o.damaged = TRY(request.Texts("damaged"));
    for (const std::string& root_hash : TRY(request.Texts("holds")))
      o.holds.push_back(TRY(Digest::FromHex(root_hash)));
    o.http.rate_limit = static_cast<uint64_t>(TRY(request.Integer("rate-limit", 0)));
    o.http.proxy = TRY(request.Text("proxy"));
    o.http.token = TRY(request.Text("token"));
    o.key_directories = TRY(request.Texts("keys"));
    o.signatures.policy = static_cast<SignaturePolicy>(TRY(request.Integer("policy", 0)));
    o.signatures.required = static_cast<uint32_t>(TRY(request.Integer("required", 1)));
    TRY(Begin());
    directory_ = std::move(directory);
    if (directory_) o.url = std::format("/proc/self/fd/{}", directory_.get());
    resolver_.emplace(o);
    staging_.emplace(o);
    return Json::object();
  }

  // Waits for the worker of a hostctl that has just ended. From here on there is no time limit:
  // hostctl may take its time between two requests.
  Result<> Begin() {
    if (lock_) return {};
    UniqueFd lock = TRY(hostos::Open(own_, O_RDONLY | O_DIRECTORY));
    if (::flock(lock.get(), LOCK_EX) < 0) return FailErrno(own_);
    lock_ = std::move(lock);
    return channel_.SetPatience(Seconds(0));
  }

  Result<Json> Resolve(const tuf::Object& request) {
    const auto now = static_cast<uint64_t>(TRY(request.Integer("now", 0)));
    std::optional<std::string> version;
    if (request.Has("version")) version = TRY(request.Text("version"));
    Result<> kept = Renew(options_.metadata);  // on failure the files that follow are still read
    for (const std::string& name : TRY(request.Texts("metadata"))) {
      const std::string bytes = TRY(channel_.Receive(tuf::kTargetsCap));
      if (kept) kept = WriteFileAtomically(options_.metadata + "/" + name, bytes);
    }
    TRY(kept);
    const std::unique_ptr<tuf::Fetcher> files = TRY(OpenFiles(options_.url, options_.http));
    std::vector<NotedFile> found;
    NotedFiles noted(*files, found);
    Result<Target> target = resolver_->Resolve(noted, version, now);
    Json answer = target ? Json::object() : FailureOf(target.error());
    if (target) Keep(*std::move(target));
    found_ = std::move(found);  // also after a failure: a new root that came first counts
    answer["files"] = Json::array();
    for (const NotedFile& file : found_) answer["files"].push_back(file.name);
    return answer;
  }

  Result<Json> Verify() {
    const std::string commit = TRY(channel_.Receive(kMaxCommitBytes));
    const std::string signatures = TRY(channel_.Receive(kMaxDetachedBytes));
    Keep(TRY(resolver_->Verify(commit, signatures)));
    return Json::object();
  }

  void Keep(Target target) {
    const Digest commit = target.release.commit;
    verified_.insert_or_assign(commit, std::move(target));
  }

  // The release that a request names.
  Result<const Target*> Named(const tuf::Object& request) const {
    const std::string name = TRY(request.Text("commit"));
    const auto found = verified_.find(TRY(Digest::FromHex(name)));
    if (found != verified_.end()) return &found->second;
    return Fail(Code::kUsage, "request.commit: {} was neither resolved nor verified here", name);
  }

  Result<Json> StagingFree() {
    const Space free = TRY(staging_->Free());
    return Json{{"bytes", free.bytes}, {"inodes", free.inodes}};
  }

  Result<Json> Plan(const tuf::Object& request) {
    const Target* target = TRY(Named(request));
    const FetchPlan plan = TRY(staging_->Plan(*target));
    return Json{{"objects", plan.objects},
                {"download", plan.download_bytes},
                {"unpacked", plan.unpacked_bytes},
                {"reused", plan.reused_bytes},
                {"packed", plan.packed},
                {"removed-bytes", plan.removed.bytes},
                {"removed-inodes", plan.removed.inodes}};
  }

  // Without this file a plan says less, and that is all: nobody waits long for it.
  Result<Json> Changes(const tuf::Object& request) {
    const std::string path = TRY(request.Text("path"));
    const auto size = static_cast<size_t>(TRY(request.Integer("size", 1)));
    HttpOptions http = options_.http;
    http.attempts = 1;
    http.total_timeout = Seconds(20);
    const std::unique_ptr<tuf::Fetcher> files = TRY(OpenFiles(options_.url, http));
    std::string bytes = TRY(files->Fetch(path, std::min(size, kMaxChangesBytes)));
    found_ = {{path, std::move(bytes)}};
    return Json::object();
  }

  Result<Json> Fetch(const tuf::Object& request) {
    int64_t left = TRY(request.Integer("objects", 0));
    const auto next = [&]() -> Result<std::optional<StagingRepository::Given>> {
      if (left == 0) return std::nullopt;
      left--;
      const std::string name = TRY(channel_.Receive());
      std::string content = TRY(channel_.Receive(kMaxContentBytes));
      return StagingRepository::Given{TRY(Digest::FromHex(name)), std::move(content)};
    };
    Result<> taken;
    if (left > 0) taken = staging_->Take(next);
    while (left > 0) (void)next();  // on failure the objects that follow are still read
    TRY(taken);
    ChannelProgress progress(channel_);
    const Target* target = TRY(Named(request));
    const Result<FetchStats> stats = staging_->Fetch(*target, progress);
    Json answer = stats ? Json{{"objects", stats->objects},
                               {"bytes", stats->bytes},
                               {"problem", Shown(stats->problem)}}
                        : FailureOf(stats.error());
    const Traffic moved = std::exchange(*options_.http.traffic, {});
    answer["moved-bytes"] = moved.bytes;
    answer["moved-requests"] = moved.requests;
    answer["pack-bytes"] = moved.pack_bytes;
    answer["pack-requests"] = moved.pack_requests;
    return answer;
  }

  Result<Json> Open(const tuf::Object& request, UniqueFd stream) {
    if (!stream) return Fail(Code::kUsage, "open: expected a stream socket");
    const Target* target = TRY(Named(request));
    const StagingRepository::Opened opened = TRY(staging_->Open(*target));
    TRY(channel_.Send("{}"));
    TRY(Copy(opened.uki.get(), stream.get()));
    TRY(SendImage(opened.scan.tree, *opened.scan.content, stream.get()));
    return Json::object();
  }

  Json FailureOf(const Error& error) const {
    return {{"error", static_cast<int>(error.code)}, {"message", Shown(error.message)}};
  }

  // Messages name the directory as the other end knows it.
  std::string Shown(std::string message) const {
    const auto replace = [&](const std::string& what, const std::string& with) {
      for (size_t at = 0; !what.empty() && (at = message.find(what, at)) != message.npos;
           at += with.size())
        message.replace(at, what.size(), with);
    };
    if (directory_) replace(options_.url, shown_);
    replace(options_.http.token, "***");  // a server may echo it
    return Masked(message).substr(0, kMaxText);
  }

  static constexpr size_t kMaxText = 8 << 10;

  const Channel& channel_;
  std::string own_;
  UniqueFd lock_;
  SourceOptions options_;
  std::string shown_;  // options_.url, as it was given
  UniqueFd directory_;
  std::optional<Resolver> resolver_;
  std::optional<StagingRepository> staging_;
  std::map<Digest, Target> verified_;
  std::vector<NotedFile> found_;  // the files that follow the answer
};

}  // namespace

void LeaveOthersAlone() {
  landlock_ruleset_attr attributes{};
  attributes.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
  const UniqueFd rules(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  if (!rules) return;
  (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  (void)::syscall(SYS_landlock_restrict_self, rules.get(), 0);
}

Result<> Serve(UniqueFd socket, const std::string& directory, Seconds patience) {
  TRY(CheckPeer(socket.get()));
  const Channel channel(std::move(socket));
  TRY(channel.SetPatience(patience));
  Worker worker(channel, directory);
  for (;;) {
    UniqueFd descriptor;
    const Result<std::string> request = channel.Receive(kMaxMessageBytes, &descriptor);
    if (!request || !worker.Handle(*request, std::move(descriptor)) || !worker.connected())
      return {};
  }
}

}  // namespace hostos
