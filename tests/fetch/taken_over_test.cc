// Workers that were taken over: what they answer reaches nobody unproven.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <functional>
#include <future>
#include <memory>

#include "tests/source/update_fixture.h"
#include "updater/fetch/channel.h"
#include "updater/fetch/remote_source.h"
#include "updater/source/archive.h"
#include "updater/source/files.h"

namespace hostos {
namespace {

using Script = std::function<void(const Channel& channel)>;

// What keeps to the protocol and says nothing, until nobody is there any more.
void Listen(const Channel& channel) {
  while (channel.Receive()) continue;
}

// A worker that keeps to the protocol until it is connected, and then to the script.
struct TakenOver {
  Update update;
  std::future<void> worker;
  Target target = update.FromDirectory().Resolve(std::nullopt, kNow).value();

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
    SourceOptions options = update.Options(update.publisher.path);
    options.metadata = update.publisher.directory / "other";
    REQUIRE(Resolver(options).Resolve(noted, std::nullopt, kNow));
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
    REQUIRE(node.update.FromDirectory().Resolve(std::nullopt, kNow));
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
    // "verify", with its commit and signatures, then "open".
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
