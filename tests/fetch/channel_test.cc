#include "updater/fetch/channel.h"

#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <future>

namespace hostos {
namespace {

struct Pair {
  UniqueFd raw;  // the other end
  Channel channel;

  static Pair Make() {
    auto [ours, theirs] = StreamPair().value();
    REQUIRE(SetPatience(ours.get(), Seconds(1)));
    return {std::move(theirs), Channel(std::move(ours))};
  }
  void Send(std::string_view bytes) { REQUIRE(WriteFull(raw.get(), AsBytes(bytes))); }
};

TEST_CASE("messages arrive whole, one by one, with the descriptor of a request") {
  auto [a, b] = StreamPair().value();
  const Channel from(std::move(a)), to(std::move(b));
  const std::string large(1 << 20, 'x');
  const UniqueFd null = Open("/dev/null", O_RDONLY).value();
  auto sent = std::async(std::launch::async, [&] {
    return from.Send("first", null.get()) && from.Send("") && from.Send(large);
  });
  UniqueFd descriptor;
  CHECK(to.Receive(100, &descriptor).value() == "first");
  struct stat status{};
  REQUIRE(::fstat(descriptor.get(), &status) == 0);
  CHECK(S_ISCHR(status.st_mode));
  CHECK(to.Receive().value().empty());
  CHECK((to.Receive(large.size()).value() == large));
  CHECK(sent.get());
}

TEST_CASE("a message that is too long, cut off or late is an error, and no more is read") {
  Pair pair = Pair::Make();
  std::string expected;
  SECTION("too long") {
    pair.Send(std::string_view("\xff\xff\xff\xff and more", 13));
    expected = "at most 65536 bytes, found 4294967295";
  }
  SECTION("the length is cut off") {
    pair.Send(std::string_view("\x05\0", 2));
    pair.raw = {};
    expected = "expected 4 bytes in time, found 2";
  }
  SECTION("the message is cut off") {
    pair.Send(std::string_view("\x05\0\0\0abc", 7));
    pair.raw = {};
    expected = "expected 5 bytes in time, found 3";
  }
  SECTION("late") {
    pair.Send(std::string_view("\x05\0\0\0abc", 7));
    expected = "expected 5 bytes in time, found 3";
  }
  SECTION("silent") {
    expected = "expected 4 bytes in time, found 0";
  }
  SECTION("gone") {
    pair.raw = {};
    expected = "found the end";
  }
  const Result<std::string> received = pair.channel.Receive();
  REQUIRE_FALSE(received);
  INFO(received.error().message);
  CHECK(received.error().code == Code::kNetwork);
  CHECK(received.error().message.contains(expected));
}

TEST_CASE("a descriptor that nobody asked for is closed") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  auto [a, b] = StreamPair().value();
  const Channel from(std::move(a)), to(std::move(b));
  REQUIRE(from.Send("with a descriptor", writer.get()));
  CHECK(to.Receive().value() == "with a descriptor");
  writer = {};
  std::byte none;
  CHECK(ReadFull(reader.get(), {&none, 1}).value() == 0);  // no writing end is left
}

}  // namespace
}  // namespace hostos
