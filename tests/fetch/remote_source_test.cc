// Both sides of the boundary: the real worker as a user of its own, and workers that were taken
// over.
#include "updater/fetch/remote_source.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>

#include "tests/source/update_fixture.h"
#include "updater/fetch/worker.h"
#include "updater/seal/seal.h"
#include "updater/source/archive.h"
#include "updater/source/files.h"
#include "updater/tuf/metadata.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kNobody = 65534;

// A node whose worker is the program, as nobody where that is possible.
class Node {
 public:
  Node() {
    fs::create_directory(own);
    if (::geteuid() == 0) REQUIRE(::chown(own.c_str(), kNobody, kNobody) == 0);
    REQUIRE(::chmod(update.publisher.directory.path().c_str(), 0711) == 0);
    AddFiles(update.tree, "new", 20, 2);
    update.publisher.Publish(update.tree, "1.1");
  }
  ~Node() { Wait(); }

  RemoteSource Source(const std::string& url) { return Source(update.Options(url)); }
  RemoteSource Source(OstreeSourceOptions options) {
    return RemoteSource([this] { return StartWorker(); }, std::move(options), Seconds(60));
  }

  // Until the workers of sources that are gone are gone too.
  void Wait() {
    for (const pid_t pid : std::exchange(workers_, {})) CHECK(::waitpid(pid, nullptr, 0) == pid);
  }

  // Gives its other end.
  Result<UniqueFd> StartWorker() {
    auto [ours, theirs] = TRY(StreamPair());
    // By descriptor: nobody may be kept out of the directories above it.
    const UniqueFd program = TRY(Open(FETCH_PROGRAM, O_PATH));
    const std::string state = "STATE_DIRECTORY=" + own, temporary = "TMPDIR=" + own;
    const char* const arguments[] = {"fetch", nullptr};
    const char* const variables[] = {state.c_str(), temporary.c_str(), nullptr};
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::dup2(theirs.get(), STDIN_FILENO);
      if (::geteuid() == 0 &&
          (::setgroups(0, nullptr) < 0 || ::setgid(kNobody) < 0 || ::setuid(kNobody) < 0))
        ::_exit(1);
      ::fexecve(program.get(), const_cast<char* const*>(arguments),
                const_cast<char* const*>(variables));
      ::_exit(1);
    }
    workers_.push_back(pid);
    return std::move(ours);
  }

  Update update;
  std::string own = update.publisher.directory / "fetch";

 private:
  std::vector<pid_t> workers_;
};

Digest RootHashOf(Checkout& checkout, uint64_t size) {
  const UniqueFd image(::memfd_create("image", MFD_CLOEXEC)),
      verity(::memfd_create("verity", MFD_CLOEXEC));
  return ReceiveImage(checkout.image.get(), size, image.get(), verity.get(), {}).value();
}

class CountingProgress : public Progress {
 public:
  void Begin(std::string_view, std::string_view) override {}
  void Bytes(uint64_t done, uint64_t) override { last = done; }
  uint64_t last = 0;
};

TEST_CASE("a process of another user fetches and seals a release, and stages nothing as root") {
  Node node;
  const bool local = GENERATE(false, true);
  node.update.server = std::make_unique<HttpServer>(node.update.publisher.path);
  RemoteSource source = node.Source(local ? node.update.publisher.path : node.update.server->url());
  CAPTURE(local);
  const Result<Target> target = source.Resolve(std::nullopt, kNow);
  INFO((target ? "" : target.error().message));
  REQUIRE(target);
  CHECK(target->release.version == "1.1");
  CHECK(target->index == 2);
  CHECK(target->valid_signatures == 1);
  const FetchPlan plan = source.Plan(*target).value();
  CHECK(plan.objects > 20);
  CHECK(source.StagingFree().value().bytes > 0);
  CHECK(source.StagingFree().value().inodes > 0);
  CountingProgress progress;
  const Result<FetchStats> stats = source.Fetch(*target, progress);
  INFO((stats ? "" : stats.error().message));
  REQUIRE(stats);
  CHECK(stats->objects == plan.objects);
  CHECK(progress.last == plan.download_bytes);
  CHECK(source.Plan(*target)->objects == 0);

  Result<Checkout> checkout = source.Open(*target);
  INFO((checkout ? "" : checkout.error().message));
  REQUIRE(checkout);
  std::string uki(target->release.uki_size + 1, '\0');
  CHECK(ReadFull(checkout->uki.get(), std::as_writable_bytes(std::span(uki))).value() ==
        target->release.uki_size);
  CHECK(RootHashOf(*checkout, target->release.image_size) == target->release.root_hash);
  CHECK(checkout->sent.get());

  CHECK(Shell("ostree fsck --repo=" + node.own + "/repo").status == 0);
  for (const auto& entry : fs::recursive_directory_iterator(node.own)) {
    struct stat status{};
    REQUIRE(::lstat(entry.path().c_str(), &status) == 0);
    CHECK(status.st_uid == (::geteuid() == 0 ? kNobody : ::geteuid()));
    CHECK((status.st_mode & (S_ISUID | S_ISGID)) == 0);
  }
}

TEST_CASE("what is whole of a damaged slot is not fetched, also where only root may read it") {
  Node node;
  node.update.server = std::make_unique<HttpServer>(node.update.publisher.path);
  OstreeSourceOptions options = node.update.Options(node.update.server->url());
  options.parent = "";
  options.damaged = {node.update.parent};
  RemoteSource source = node.Source(options);
  const Target target = source.Resolve("1.0", kNow).value();
  std::string hidden;  // an object that only root may read
  for (const auto& entry : fs::recursive_directory_iterator(node.update.parent + "/objects")) {
    if (entry.is_symlink() || !entry.is_regular_file()) continue;
    if ((entry.status().permissions() & fs::perms::others_read) == fs::perms::none)
      hidden = entry.path();
  }
  REQUIRE_FALSE(hidden.empty());
  NoProgress progress;
  const Result<FetchStats> stats = source.Fetch(target, progress);
  INFO((stats ? "" : stats.error().message));
  REQUIRE(stats);
  CHECK(stats->objects == 0);
  WriteText(hidden, "spoilt", 0600);
  REQUIRE(source.Discard());
  CHECK(source.Fetch(target, progress)->objects == 1);
  CHECK(source.Open(target));
}

TEST_CASE("any number of objects that only root may read are handed to the worker") {
  Node node;
  // More than fit into one message by their names.
  for (int i = 0; i < 1100; i++)
    WriteText(std::format("{}/usr/lib/root-only/{}", node.update.tree, i), std::to_string(i), 0600);
  const Digest running = node.update.publisher.Publish(node.update.tree, "1.2");
  REQUIRE(Shell("ostree pull-local --disable-fsync --repo=" + node.update.parent + " " +
                node.update.publisher.path + " " + running.Hex())
              .status == 0);
  AddFiles(node.update.tree, "newer", 3, 3);
  node.update.publisher.Publish(node.update.tree, "1.3");
  RemoteSource source = node.Source(node.update.publisher.path);
  const Result<Target> target = source.Resolve(std::nullopt, kNow);
  REQUIRE(target);
  NoProgress progress;
  const Result<FetchStats> stats = source.Fetch(*target, progress);
  INFO((stats ? "" : stats.error().message));
  REQUIRE(stats);
  CHECK(stats->objects < 100);
}

TEST_CASE("a password in an address is in no message, whatever fails") {
  Node node;
  constexpr const char* kSecret = "s3cret";
  const auto at = [&](std::string url) {
    return url.insert(url.find("://") + 3, std::string("me:") + kSecret + "@");
  };
  const auto message = [&](const OstreeSourceOptions& options) {
    auto source = std::make_unique<RemoteSource>(node.Source(options));
    const Result<Target> target = source->Resolve(std::nullopt, kNow);
    NoProgress progress;
    std::string said =
        target ? source->Fetch(*target, progress).error().message : target.error().message;
    source.reset();
    node.Wait();
    INFO(said);
    CHECK_FALSE(said.contains(kSecret));
    return said;
  };
  auto options = [&](const std::string& url) { return node.update.Options(at(url)); };
  CHECK(message(options("http://127.0.0.1:1")).contains("http://***@127.0.0.1:1"));
  const std::string& path = node.update.publisher.path;
  for (const std::string& extra : {
           std::string("location / { return 401; }"),
           std::string("location / { return 500 'http://me:s3cret@here/'; }"),
           std::string("location / { return 302 http://me:s3cret@127.0.0.1:1/x; }"),
           std::string("location / { return 302 http://127.0.0.1:1/x?signature=s3cret; }"),
           std::string("location /metadata/timestamp.json { return 404; }"),
           std::string("location /objects { location ~ filez { return 500; } }"),
           std::string("location /objects { location ~ filez { return 404; } }"),
           std::string("location /objects { location ~ filez { return 200 'what?'; } }"),
       }) {
    CAPTURE(extra);
    const HttpServer server(path, extra);
    CHECK(message(options(server.url())).contains("***"));
  }
  OstreeSourceOptions proxied = node.update.Options("http://releases.invalid");
  proxied.http.proxy = at("http://127.0.0.1:1");
  message(proxied);
}

TEST_CASE("what the worker cannot do is said as without one") {
  Node node;
  CHECK(node.Source("http://127.0.0.1:1").Resolve(std::nullopt, kNow).error().code ==
        Code::kNetwork);
  const std::string empty = node.update.publisher.directory / "empty";
  fs::create_directory(empty);
  const Error error = node.Source(empty).Resolve(std::nullopt, kNow).error();
  INFO(error.message);
  CHECK(error.message.contains(empty + "/metadata/"));
  CHECK_FALSE(error.message.contains("/proc/"));
}

TEST_CASE("what is no metadata beside the metadata is in nobody's way") {
  Node node;
  HttpServer server(node.update.publisher.path);
  RemoteSource source = node.Source(server.url());
  fs::create_directories(node.update.trusted + "/later/inside");
  WriteText(node.update.trusted + "/root.json.tmp", "cut off");
  CHECK(source.Resolve(std::nullopt, kNow));
}

TEST_CASE("a root that came before a failure is trusted from then on") {
  Node node;
  Publisher& publisher = node.update.publisher;
  const std::vector<SecretKey> next = {SecretKey::Generate(Algorithm::kEd25519).value()};
  REQUIRE(publisher.metadata.StageRoot(
      {{"timestamp", {.keys = {next[0].Public().value()}, .threshold = {}, .days = {}}}}));
  const std::string timestamp = publisher.path + "/metadata/timestamp.json";
  const std::string before = ReadText(timestamp);
  std::vector<SecretKey> keys = publisher.key;
  keys.push_back(next[0]);
  REQUIRE(publisher.metadata.Sign(keys)->missing.empty());
  WriteText(timestamp, before);  // which is not next's
  CHECK(node.Source(publisher.path).Resolve(std::nullopt, kNow).error().code == Code::kNotTrusted);
  const std::string kept = ReadText(node.update.trusted + "/root.json");
  CHECK(tuf::Root::Parse(kept).value().version == 2);
}

// A second root that nobody signed, with a key that OpenSSL would complain of; its bytes.
std::string ForgedRoot(const std::string& first) {
  tuf::Json root = tuf::Json::parse(first);
  root["signed"]["version"] = 2;
  root["signed"]["keys"]["forged"] = {
      {"keytype", "rsa"},
      {"scheme", "rsassa-pss-sha256"},
      {"keyval", {{"public", "-----BEGIN PUBLIC KEY-----\nno key\n-----END PUBLIC KEY-----\n"}}}};
  root["signed"]["roles"]["root"]["keyids"] = tuf::Json::array({"forged"});
  root["signatures"] = tuf::Json::array({{{"keyid", "forged"}, {"sig", "00"}}});
  return root.dump();
}

// Request after request to a worker; its answers.
struct Asker {
  Channel channel;

  tuf::Json Ask(const tuf::Json& request, const std::vector<std::string>& more = {}) {
    REQUIRE(channel.Send(request.dump()));
    for (const std::string& message : more) REQUIRE(channel.Send(message));
    return tuf::Json::parse(channel.Receive().value());
  }
  tuf::Json Connect(const OstreeSourceOptions& options) {
    return Ask({{"call", "connect"},
                {"url", options.url},
                {"product", options.product},
                {"channel", options.channel},
                {"architecture", options.architecture},
                {"parent", options.parent},
                {"damaged", options.damaged},
                {"proxy", ""},
                {"token", ""},
                {"keys", options.key_directories},
                {"policy", 0},
                {"required", 1}});
  }
};

TEST_CASE("what the worker refused does not reach root") {
  Node node;
  const std::string& path = node.update.publisher.path;
  const std::string first = ReadText(node.update.publisher.root);
  size_t accepted = 0;
  SECTION("an unsigned root, with somebody's keys") {
    WriteText(path + "/metadata/2.root.json", ForgedRoot(first));
  }
  SECTION("other targets than the signed ones") {
    WriteText(path + "/metadata/3.targets.json", "{}");
    accepted = 2;  // timestamp and snapshot
  }
  SECTION("a commit without its signatures") {
    for (const auto& entry : fs::recursive_directory_iterator(path + "/objects"))
      if (entry.path().extension() == ".commitmeta") fs::remove(entry);
    accepted = 4;  // and targets, and the release's target
  }
  const HttpServer server(path);
  Asker asker{Channel(node.StartWorker().value())};
  REQUIRE(asker.Connect(node.update.Options(server.url())) == tuf::Json::object());
  const tuf::Json answer = asker.Ask(
      {{"call", "resolve"}, {"now", kNow}, {"metadata", tuf::Json::array({"root.json"})}}, {first});
  INFO(answer.dump(2));
  CHECK(answer.value("error", 0) == static_cast<int>(Code::kNotTrusted));
  CHECK(answer["files"].size() == accepted);
}

TEST_CASE("who says nothing to a worker keeps it from nobody") {
  Node node;
  const UniqueFd silent = node.StartWorker().value();
  CHECK(node.Source(node.update.publisher.path).Resolve(std::nullopt, kNow));
}

TEST_CASE("who does not begin as hostctl does is dropped") {
  const TempDir directory;
  auto [peer, socket] = StreamPair().value();
  Seconds patience{60};
  std::string said;
  SECTION("nothing") {
    patience = Seconds(1);
  }
  SECTION("half a message") {
    patience = Seconds(1);
    said = std::string("\x05\0\0\0abc", 7);
  }
  SECTION("no request") {
    said = std::string("\x01\0\0\0{", 5);
  }
  SECTION("another request than the first") {
    said = std::string("\x12\0\0\0{\"call\":\"discard\"}", 22);
  }
  REQUIRE(WriteFull(peer.get(), AsBytes(said)));
  CHECK(Serve(std::move(socket), directory.path(), patience));  // and is over
}

TEST_CASE("a worker listens to root only, and to who its user is anyway") {
  if (::geteuid() != 0) SKIP("takes root");
  const TempDir directory;
  REQUIRE(::seteuid(kNobody - 1) == 0);
  auto [peer, socket] = StreamPair().value();  // it is this one who connects, for SO_PEERCRED
  REQUIRE(::seteuid(0) == 0);
  const Result<> served = Serve(std::move(socket), directory.path());
  REQUIRE_FALSE(served);
  CHECK(served.error().message.contains("of user 65533"));
}

TEST_CASE("a worker that lets others alone reaches no abstract socket") {
  constexpr long kScopes = 6;  // version of Landlock
  if (::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) < kScopes)
    SKIP("this kernel has no scopes of Landlock");
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  socklen_t size = sizeof(sa_family_t);  // a name of the kernel's choice
  REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(listener.get(), 2) == 0);
  size = sizeof address;
  REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const auto reaches = [&] {
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0;
  };
  CHECK(reaches());
  CHECK_FALSE(std::async(std::launch::async, [&] {
                LeaveOthersAlone();
                return reaches();
              }).get());
}

TEST_CASE("a release is found and fetched through the proxy that is configured") {
  Node node;
  const HttpServer proxy(node.update.publisher.path);
  OstreeSourceOptions options = node.update.Options("http://releases.invalid");
  options.http.proxy = proxy.url();
  RemoteSource source = node.Source(options);
  const Result<Target> target = source.Resolve(std::nullopt, kNow);
  INFO((target ? "" : target.error().message));
  REQUIRE(target);
  NoProgress progress;
  const Result<FetchStats> stats = source.Fetch(*target, progress);
  INFO((stats ? "" : stats.error().message));
  CHECK(stats);
}

TEST_CASE("a release is found and fetched with the token that is configured, which nobody sees") {
  Node node;
  const HttpServer server(
      node.update.publisher.path,
      "if ($http_authorization != 'Bearer s3cret') { return 401 'not $http_authorization'; }");
  OstreeSourceOptions options = node.update.Options(server.url());
  options.token_file = node.update.publisher.directory / "token";
  WriteText(options.token_file, "s3cret\n", 0600);
  SECTION("the right one") {
    RemoteSource source = node.Source(options);
    const Result<Target> target = source.Resolve(std::nullopt, kNow);
    INFO((target ? "" : target.error().message));
    REQUIRE(target);
    NoProgress progress;
    const Result<FetchStats> stats = source.Fetch(*target, progress);
    INFO((stats ? "" : stats.error().message));
    CHECK(stats);
    const std::string at = node.own;
    CHECK(Shell("grep -r s3cret " + at).status == 1);  // it is kept nowhere
  }
  SECTION("the right one, and objects that are somewhere else: it does not go there") {
    const HttpServer other(node.update.publisher.path, "if ($http_authorization) { return 500; }");
    const HttpServer redirecting(node.update.publisher.path,
                                 "if ($http_authorization != 'Bearer s3cret') { return 401; }\n"
                                 "location ~ filez { return 302 " +
                                     other.url() + "$request_uri; }");
    options.url = redirecting.url();
    RemoteSource source = node.Source(options);
    const Target target = source.Resolve(std::nullopt, kNow).value();
    NoProgress progress;
    const Result<FetchStats> stats = source.Fetch(target, progress);
    INFO((stats ? "" : stats.error().message));
    CHECK(stats);
    CHECK(other.Requests().size() > 20);
  }
  SECTION("another one") {
    WriteText(options.token_file, "0ther\n", 0600);
    const Error error = node.Source(options).Resolve(std::nullopt, kNow).error();
    CHECK(error.code == Code::kNetwork);
    CHECK(error.message.contains("401 (not Bearer ***)"));
  }
  SECTION("one that others can read") {
    WriteText(options.token_file, "s3cret\n", 0644);
    CHECK(node.Source(options).Resolve(std::nullopt, kNow).error().message.contains("/token"));
  }
  SECTION("none") {
    WriteText(options.token_file, "\n", 0600);
    CHECK(node.Source(options).Resolve(std::nullopt, kNow).error().code == Code::kUsage);
  }
}

// The descriptor that a worker is given for a path of this machine.
Result<UniqueFd> Given(const Update& update, const std::string& path) {
  std::promise<UniqueFd> given;
  std::future<void> worker;
  RemoteSource source(
      [&]() -> Result<UniqueFd> {
        auto [ours, theirs] = TRY(StreamPair());
        worker = std::async(std::launch::async, [&, socket = std::move(theirs)]() mutable {
          const Channel channel(std::move(socket));
          UniqueFd descriptor;
          (void)channel.Receive(kMaxMessageBytes, &descriptor);
          given.set_value(std::move(descriptor));
        });
        return std::move(ours);
      },
      update.Options(path), Seconds(60));
  const Error error = source.Discard().error();  // it is never answered
  if (!worker.valid()) return std::unexpected(error);
  UniqueFd descriptor = given.get_future().get();
  if (!descriptor) return std::unexpected(error);
  return descriptor;
}

TEST_CASE("of a directory a worker sees that directory, and nothing above") {
  if (::geteuid() != 0) SKIP("who is not root has nothing more to show");
  const Update update;
  const std::string& path = update.publisher.path;
  const std::string name = fs::path(path).filename();
  const UniqueFd given = Given(update, path).value();
  struct stat here{}, above{};
  REQUIRE(::fstat(given.get(), &here) == 0);
  for (const char* way : {"..", "../..", "objects/../.."}) {
    CAPTURE(way);
    REQUIRE(::fstatat(given.get(), way, &above, 0) == 0);
    CHECK(above.st_ino == here.st_ino);
    CHECK(above.st_dev == here.st_dev);
  }
  CHECK(OpenAt(given.get(), "../" + name, O_RDONLY).error().code == Code::kNotFound);
  CHECK(ReadFileAt(given.get(), "config") == ReadText(path + "/config"));
  for (const char* file : {"new", "config"})
    CHECK(
        OpenAt(given.get(), file, O_WRONLY | O_CREAT, 0600).error().message.contains("Read-only"));
  // By the way that the worker takes, too.
  const std::string link = std::format("/proc/self/fd/{}/", given.get());
  CHECK(ReadFile(link + "../config") == ReadText(path + "/config"));
}

TEST_CASE("a worker is given directories and files, and nothing that is more") {
  const Update update;
  for (const char* path : {"/dev/null", "/dev/zero"}) {
    const Result<UniqueFd> given = Given(update, path);
    REQUIRE_FALSE(given);
    CHECK(given.error().message.contains("expected a directory or a file"));
  }
}

// Without what it takes to mount; capabilities are a thread's own.
template <class Do>
auto Unable(Do work) {
  return std::async(std::launch::async,
                    [&] {
                      __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3,
                                                      .pid = 0};
                      std::array<__user_cap_data_struct, 2> sets{};
                      REQUIRE(::syscall(SYS_capget, &header, sets.data()) == 0);
                      sets[0].effective &= ~(1U << CAP_SYS_ADMIN);
                      REQUIRE(::syscall(SYS_capset, &header, sets.data()) == 0);
                      return work();
                    })
      .get();
}

TEST_CASE("a directory that cannot be mounted for the worker is its own to open, or is an error") {
  Node node;
  const std::string& path = node.update.publisher.path;
  CHECK_FALSE(Unable([&] { return Given(node.update, path); }));
  CHECK(Unable([&] { return node.Source(path).Resolve(std::nullopt, kNow); }));
  if (::geteuid() != 0) SKIP("root alone has more than the worker");
  REQUIRE(::chmod(path.c_str(), 0700) == 0);
  const Result<Target> target =
      Unable([&] { return node.Source(path).Resolve(std::nullopt, kNow); });
  REQUIRE_FALSE(target);
  INFO(target.error().message);
  CHECK(target.error().message.contains("Permission denied; " + path + " could not be mounted"));
}

using Script = std::function<void(const Channel& channel)>;

// What keeps to the protocol and says nothing, until nobody is there any more.
void Listen(const Channel& channel) {
  while (channel.Receive()) continue;
}

// A worker that keeps to the protocol until it is connected, and then to the script.
struct TakenOver {
  Update update;
  std::future<void> worker;
  Target target = update.LocalSource().Resolve(std::nullopt, kNow).value();

  RemoteSource Source(const Script& script, Seconds patience = Seconds(60)) {
    return RemoteSource(
        [this, script]() -> Result<UniqueFd> {
          auto [ours, theirs] = TRY(StreamPair());
          auto socket = std::make_shared<UniqueFd>(std::move(theirs));
          worker = std::async(std::launch::async, [script, socket] {
            const Channel channel(std::move(*socket));
            if (channel.Receive() && channel.Send("{}")) script(channel);
          });
          return std::move(ours);
        },
        update.Options("http://localhost"), patience);
  }

  // What Resolve says when these are the answer.
  Error Refusal(const std::vector<std::string>& answers,
                const std::optional<std::string>& version = std::nullopt) {
    RemoteSource source = Source([answers](const Channel& channel) {
      for (const std::string& answer : answers)
        if (!channel.Send(answer)) return;
      Listen(channel);
    });
    const Result<Target> resolved = source.Resolve(version, kNow);
    REQUIRE_FALSE(resolved);
    return resolved.error();
  }
  // The same with these files of the publisher's.
  Error Refusal(const std::vector<NotedFile>& files) {
    tuf::Json head = {{"files", tuf::Json::array()}};
    std::vector<std::string> answers = {""};
    for (const NotedFile& file : files) {
      head["files"].push_back(file.name);
      answers.push_back(file.bytes);
    }
    answers[0] = head.dump();
    return Refusal(answers);
  }

  // What it takes to resolve the newest release, for who trusts the first root only.
  std::vector<NotedFile> Files() const {
    std::vector<NotedFile> found;
    Archive archive = Archive::Open(update.publisher.path).value();
    NotedFiles noted(archive, found);
    OstreeSourceOptions options = update.Options(update.publisher.path);
    options.metadata = update.publisher.directory / "other";
    REQUIRE(OstreeSource(options).Resolve(noted, std::nullopt, kNow));
    return found;
  }
};

TEST_CASE("what a taken-over worker resolved is resolved once more") {
  TakenOver node;
  const std::vector<NotedFile> files = node.Files();
  std::filesystem::remove_all(node.update.trusted);
  REQUIRE(files.size() >= 5);  // timestamp, snapshot, targets, the release's target, its commit
  SECTION("without one of the files") {
    for (size_t i = 0; i < files.size(); i++) {
      if (files[i].name.ends_with("meta")) continue;
      std::vector<NotedFile> some = files;
      some.erase(some.begin() + static_cast<std::ptrdiff_t>(i));
      CAPTURE(files[i].name);
      CHECK(node.Refusal(some).message.contains("not found"));
    }
  }
  SECTION("with another byte in one of them") {
    for (size_t i = 0; i < files.size(); i++) {
      std::vector<NotedFile> other = files;
      other[i].bytes[other[i].bytes.size() / 2] ^= 1;
      CAPTURE(files[i].name);
      CHECK(node.Refusal(other).code == Code::kNotTrusted);
    }
  }
  SECTION("as it was before what this machine has seen") {
    node.update.publisher.Publish(node.update.tree, "1.1");
    REQUIRE(node.update.LocalSource().Resolve(std::nullopt, kNow));
    const Error error = node.Refusal(files);
    INFO(error.message);
    CHECK(error.code == Code::kNotTrusted);
    CHECK(error.message.contains("timestamp"));
  }
}

TEST_CASE("answers of a taken-over worker are bounded, and are no answers when they are none") {
  TakenOver node;
  CHECK(node.Refusal({"no json"}).message.contains("hostos-fetch@.service: "));
  CHECK(node.Refusal({"[1]"}).code == Code::kNotTrusted);
  CHECK(node.Refusal({std::string(kMaxMessageBytes + 1, ' ')})
            .message.contains("at most 65536 bytes"));
  CHECK(node.Refusal({R"({"files":["a"]})", std::string((32 << 20) + 1, 'x')})
            .message.contains("expected a message of at most"));
  const Error said = node.Refusal({R"({"error":77,"message":"red \u001b[31m\u009b"})"});
  CHECK(said.message == "red ?[31m??");
  CHECK(said.code == Code::kFailed);
  using enum Code;
  for (const Code quiet : {kNothingToDo, kBusy, kRefused, kUnhealthy})
    CHECK(node.Refusal({std::format(R"({{"error":{},"message":""}})", static_cast<int>(quiet))})
              .code == kFailed);
}

TEST_CASE("a taken-over worker that says nothing, or progress without end, is given up") {
  TakenOver node;
  Script script = Listen;
  std::string expected = "expected 4 bytes in time, found 0";
  SECTION("nothing") {}
  SECTION("progress") {
    script = [](const Channel& channel) {
      while (channel.Send(R"({"done":1,"total":2})")) continue;
    };
    expected = "found progress only";
  }
  RemoteSource source = node.Source(script, Seconds(1));
  const Result<Space> free = source.StagingFree();
  REQUIRE_FALSE(free);
  CHECK(free.error().code == Code::kNetwork);
  CHECK(free.error().message.contains(expected));
}

TEST_CASE("a worker that dies in any call is an error that names its unit") {
  TakenOver node;
  RemoteSource source = node.Source([](const Channel& channel) { (void)channel.Receive(); });
  NoProgress progress;
  const std::vector<std::function<Error()>> calls = {
      [&] { return source.Resolve(std::nullopt, kNow).error(); },
      [&] { return source.Plan(node.target).error(); },
      [&] { return source.Fetch(node.target, progress).error(); },
      [&] { return source.Open(node.target).error(); },
      [&] { return source.StagingFree().error(); },
      [&] { return source.Discard().error(); },
  };
  const size_t call = GENERATE(range(size_t{0}, size_t{6}));
  CAPTURE(call);
  const Error error = calls.at(call)();
  CHECK(error.code == Code::kNetwork);
  CHECK(error.message.contains("hostos-fetch@.service: "));
  CHECK(error.message.contains("journalctl -u 'hostos-fetch@*'"));
}

// Sends these bytes as UKI and image. Without an end it is not over.
Script Sending(const std::string& bytes, const std::string& end = "{}") {
  return [=](const Channel& channel) {
    // "use", with its commit and signatures, then "open".
    for (int message = 0; message < 3; message++)
      if (!channel.Receive(kMaxCommitBytes)) return;
    UniqueFd stream;
    if (!channel.Send("{}") || !channel.Receive(kMaxMessageBytes, &stream) || !channel.Send("{}"))
      return;
    (void)WriteFull(stream.get(), AsBytes(bytes));
    if (end.empty()) return (void)channel.Receive();
    stream = {};
    (void)channel.Send(end);
  };
}

TEST_CASE("what a worker said before it went counts more than that it is gone") {
  TakenOver node;
  const std::string why = R"({"error":6,"message":"no room"})";
  SECTION("while it is told what there is") {
    RemoteSource source = node.Source([why](const Channel& channel) {
      (void)channel.Send(why);  // and does not even look at what it was asked
    });
    NoProgress progress;
    const Error error = source.Fetch(node.target, progress).error();
    CHECK(error.code == Code::kNoSpace);
    CHECK(error.message == "no room");
  }
  SECTION("in the middle of the UKI") {
    RemoteSource source = node.Source(Sending("MZ", why));
    const Error error = source.Open(node.target).error();
    CHECK(error.code == Code::kNoSpace);
    CHECK(error.message == "UKI: no room");
  }
}

TEST_CASE("a worker that can't keep what it is given says so, and answers the next request") {
  if (::geteuid() != 0) SKIP("nothing can be kept from a worker of the same user");
  Node node;
  RemoteSource source = node.Source(node.update.publisher.path);
  REQUIRE(source.Resolve(std::nullopt, kNow));
  const std::string metadata = node.own + "/tuf";
  REQUIRE(::chown(metadata.c_str(), 0, 0) == 0);
  const Error error = source.Resolve(std::nullopt, kNow).error();
  INFO(error.message);
  CHECK(error.message.contains(metadata));
  REQUIRE(::chown(metadata.c_str(), kNobody, kNobody) == 0);
  CHECK(source.Resolve(std::nullopt, kNow));
}

TEST_CASE("a UKI of other bytes than the signed ones does not get past the worker") {
  TakenOver node;
  const std::string uki = "MZ the kernel of 1.0";
  REQUIRE(Sha256::Of(AsBytes(uki)) == node.target.release.uki_digest);
  {
    RemoteSource source = node.Source(Sending(std::string(uki.size(), 'x')));
    const Result<Checkout> checkout = source.Open(node.target);
    REQUIRE_FALSE(checkout);
    CHECK(checkout.error().code == Code::kNotTrusted);
    CHECK(checkout.error().message.contains("UKI: expected SHA-256"));
  }
  for (const char* end : {"{}", ""}) {
    RemoteSource source = node.Source(Sending(uki.substr(1), end), Seconds(1));
    const Error error = source.Open(node.target).error();
    CHECK(error.code == Code::kNetwork);
    CHECK(error.message.starts_with(
        "UKI: hostos-fetch@.service: expected 20 bytes in time, found less; what it said: "));
  }
  {
    RemoteSource source = node.Source(Sending(uki + "an image", R"({"error":5,"message":"why"})"));
    Result<Checkout> checkout = source.Open(node.target);
    REQUIRE(checkout);
    std::string image(100, '\0');
    CHECK(ReadFull(checkout->image.get(), std::as_writable_bytes(std::span(image))).value() == 8);
    const Result<> sent = checkout->sent.get();
    REQUIRE_FALSE(sent);
    CHECK(sent.error().message == "why");
  }
}

}  // namespace
}  // namespace hostos
