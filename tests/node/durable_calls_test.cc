// Every system call with which an update changes a node's files: a kill before it, an error in its
// place, an interruption. HOSTOS_TORTURE=all tries each of them; otherwise some, evenly spread.
#include "tests/node/durable_calls.h"

#include <signal.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>
#include <functional>
#include <set>

#include "bootctl/esp.h"
#include "tests/node/release_line.h"
#include "tests/source/http_server.h"
#include "tests/torture.h"
#include "tests/vm/held.h"
#include "tests/vm/process.h"
#include "updater/engine/state_dir.h"
#include "updater/hostctl/exit_code.h"
#include "updater/seal/seal.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSome = 12;  // of each fault

// The other release is whole, on the medium.
void CheckWhole(const FileNode& node, const Release& release, const BootState& state) {
  const std::string disk = node.machine().disk();
  const UniqueFd image = Held(Open(disk + "4", O_RDONLY)),
                 verity = Held(Open(disk + "5", O_RDONLY));
  Held(ProveSeal(image.get(), verity.get(), release.image_size, release.root_hash, {}));
  const UniqueFd uki = Held(Open(node.machine().LinuxPath(state.entries.front().file), O_RDONLY));
  CHECK(Held(HashFile(uki.get(), release.uki_size)) == release.uki_digest);
}

// What boots now is the old release or the new one, and it is whole.
Slot CheckBoots(const FileNode& node, const Release& release) {
  const BootState state = Held(node.machine().boot().Read());
  REQUIRE(state.next());
  if (*state.next() == Slot::B) CheckWhole(node, release, state);
  return *state.next();
}

// Names of everything that an update leaves behind.
std::set<std::string> Left(const FileNode& node) {
  std::set<std::string> names;
  for (const char* part : {"esp", "state", "repo"})
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(node / part))
      names.insert(fs::relative(entry.path(), node / ".").string());
  return names;
}

// The calls to try of so many.
std::vector<size_t> Chosen(size_t calls) {
  const size_t step = Thorough() ? 1 : std::max<size_t>(calls / kSome, 1);
  std::vector<size_t> chosen;
  for (size_t at = 1; at <= calls; at += step) chosen.push_back(at);
  return chosen;
}

// Tries the fault at each of the chosen calls of `hostctl update`. What it ended with, and said, is
// looked at by `check`.
void TryEverywhere(Fault fault,
                   const std::function<void(int ended, const std::string& said)>& check) {
  static ReleaseLine line;
  static const Release release = line.Publish("1.1.0", 3);
  static const HttpServer server(line.releases().repo);
  const TempDir logs;
  const std::string log = logs / "log";
  auto update = [&](const FileNode& node, std::optional<Fault> at) {
    fs::remove(log);
    return Held(RunObserved(node.Hostctl({"update"}), log, node.directory(), at));
  };
  const FileNode untouched(line.releases(), server.url());
  const Observed whole = update(untouched, std::nullopt);
  REQUIRE(whole.ended == Number(ExitCode::kStaged));
  CHECK(whole.calls.size() > 200);
  const std::set<std::string> left = Left(untouched);

  const std::vector<size_t> chosen = Chosen(whole.calls.size());
  Count(chosen.size(), "states");
  for (const size_t at : chosen) {
    CAPTURE(at, whole.calls[at - 1].name, whole.calls[at - 1].path);
    const FileNode node(line.releases(), server.url());
    fault.at = at;
    const Observed faulty = update(node, fault);
    {
      INFO(LastLines(log, 20));
      check(faulty.ended, LastLines(log, 20));
      CheckBoots(node, release);
    }

    const int again = update(node, std::nullopt).ended;
    INFO(LastLines(log, 20));
    REQUIRE(again == Number(ExitCode::kStaged));
    CHECK(CheckBoots(node, release) == Slot::B);
    CHECK(Left(node) == left);
    CHECK(node.Boot() == Slot::B);
  }
}

TEST_CASE("an update killed before any of its durable calls: old or new boots, and it converges") {
  TryEverywhere({.signal = SIGKILL},
                [](int ended, const std::string&) { CHECK(ended == 128 + SIGKILL); });
}

TEST_CASE("an update any of whose durable calls fails: old or new boots, and it converges") {
  const int error = GENERATE(EIO, ENOSPC, EROFS);
  CAPTURE(error);
  TryEverywhere({.error = error}, [](int ended, const std::string& said) {
    // Some calls may fail without harm: hints to the kernel, and removals of what is not needed.
    const bool done = ended == Number(ExitCode::kStaged);
    CHECK(said.contains("hostctl: ") == !done);
    CHECK((done || ended == Number(ExitCode::kFailed) || ended == Number(ExitCode::kNoSpace)));
  });
}

TEST_CASE("an update interrupted at any of its durable calls ends at once, and converges") {
  const int signal = GENERATE(SIGINT, SIGTERM);
  CAPTURE(signal);
  TryEverywhere({.signal = signal}, [](int ended, const std::string& said) {
    CHECK(ended == Number(ExitCode::kFailed));
    CHECK(said.contains("hostctl: interrupted"));
  });
}

// A self-test, from its verb to the last gate; the calls of each of these programs. One of them is
// killed.
std::vector<std::vector<DurableCall>> SelfTestOf(const FileNode& node, const std::string& log,
                                                 size_t killed = SIZE_MAX, size_t at = 0) {
  std::vector<std::vector<DurableCall>> calls;
  std::vector<std::string> words = {"boot", "selftest"};
  do {
    REQUIRE(calls.size() < 6);
    if (!calls.empty()) REQUIRE(node.Boot() == Slot::A);
    std::optional<Fault> fault;
    if (calls.size() == killed) fault = Fault{.at = at, .signal = SIGKILL};
    calls.push_back(Held(RunObserved(node.Hostctl(words), log, node.directory(), fault)).calls);
    words = {"gate"};
  } while (calls.size() == 1 || calls.size() == killed + 1 || fs::exists(node / "reboot"));
  const BootState state = Held(node.machine().boot().Read());
  CHECK(state.next() == Slot::A);
  CHECK(state.selftest.empty());
  CHECK(state.entries.size() == 1);
  return calls;
}

TEST_CASE("a self-test killed before any of its durable calls ends, and what ran runs") {
  const ReleaseLine line;
  const TempDir logs;
  const FileNode untouched(line.releases(), "http://none");
  const auto whole = SelfTestOf(untouched, logs / "log");
  REQUIRE(whole.size() == 4);
  std::vector<std::pair<size_t, size_t>> calls;  // which program, which call of it
  for (size_t program = 0; program < whole.size(); program++)
    for (size_t at = 1; at <= whole[program].size(); at++) calls.emplace_back(program, at);
  const std::vector<size_t> chosen = Chosen(calls.size());
  Count(chosen.size(), "states");
  for (const size_t number : chosen) {
    const auto [program, at] = calls[number - 1];
    CAPTURE(program, at, whole[program][at - 1].name, whole[program][at - 1].path);
    const FileNode node(line.releases(), "http://none");
    SelfTestOf(node, logs / "log", program, at);
    CHECK(SelfTestOf(node, logs / "log").size() == 4);
    const Record record = Held(StateDir(node / "state", node / "run").record().Load());
    CHECK(record.selftest->state == SelfTestState::kPassed);
  }
}

}  // namespace
}  // namespace hostos
