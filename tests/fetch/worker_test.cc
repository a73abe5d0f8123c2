// What a worker listens to, and what it sees of the machine.
#include "updater/fetch/worker.h"

#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <future>

#include "tests/fetch/worker_node.h"
#include "updater/fetch/channel.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

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
  tuf::Json Connect(const SourceOptions& options) {
    return Ask({{"call", "connect"},
                {"url", options.url},
                {"product", options.product},
                {"channel", options.channel},
                {"architecture", options.architecture},
                {"parent", options.parent},
                {"damaged", options.damaged},
                {"holds", tuf::Json::array()},
                {"rate-limit", options.http.rate_limit},
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
    for (const std::string& file : FilesEndingIn(path, ".commitmeta")) fs::remove(file);
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
  const Result<> served = Serve(std::move(socket), directory.path(), patience);
  CHECK(served);  // and is over
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

}  // namespace

}  // namespace hostos
