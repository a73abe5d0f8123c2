// Every system call with which a verb, or the process that fetches for it, changes a node's files:
// a kill before it, an error in its place, an interruption, a power cut. Afterwards what boots is
// whole, no verb is blocked, and running the verb again is all it takes. HOSTOS_TORTURE=all tries
// every call; otherwise some calls of each verb.
#include "tests/node/durable_calls.h"

#include <signal.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "bootctl/entry_name.h"
#include "tests/held.h"
#include "tests/node/ask.h"
#include "tests/node/release_line.h"
#include "tests/source/http_server.h"
#include "tests/torture.h"
#include "tests/vm/process.h"
#include "updater/seal/seal.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;
using enum ExitCode;

using Words = std::vector<const char*>;
using Codes = std::set<ExitCode>;

void CheckAnswer(const FileNode& node, const Words& words, const Codes& codes) {
  const Said said = Ask(node, words);
  CAPTURE(words, Number(said.code), said.out, said.err);
  CHECK(codes.contains(said.code));
}

BootState Boots(const FileNode& node) {
  return Held(node.machine().Look());
}

Record RecordOf(const FileNode& node) {
  return Held(StateDir(node / "state", node / "run").record().Load());
}

// 1.1.0 and 1.2.0 were installed, one after the other; 1.3.0 is new.
class Line {
 public:
  Line() : server_(line_.releases().repo), node_(line_.releases(), server_.url()) {
    for (const char* version : {"1.1.0", "1.2.0"}) {
      Publish(version);
      REQUIRE(Ask(node_, {"update"}).code == kStaged);
      Held(node_.Boot());
      REQUIRE(Ask(node_, {"gate"}).code == kDone);
    }
    Publish("1.3.0");
  }

  // Every byte of both slots is as signed, with 1.2.0 in A and 1.1.0 in B; A runs.
  const FileNode& node() const { return node_; }
  const Release& Find(const Digest& root_hash) const { return releases_.at(root_hash); }

 private:
  void Publish(const std::string& version) {
    const Release release = line_.Publish(version, 3);
    releases_[release.root_hash] = release;
  }

  ReleaseLine line_;
  const HttpServer server_;
  FileNode node_;
  std::map<Digest, Release> releases_;
};

const Line& TheLine() {
  static const Line line;
  return line;
}

std::string Running(const FileNode& node) {
  return TheLine().Find(Boots(node).release()->root_hash).version;
}

void Update(const FileNode& node) {
  REQUIRE(Ask(node, {"update"}).code == kStaged);
}

void UpdateAndBoot(const FileNode& node) {
  Update(node);
  REQUIRE(Held(node.Boot()) == Slot::B);
}

void MakeUnhealthy(const FileNode& node) {
  WriteText(node / "unhealthy", "not serving");
}

// Leaves neither slot a try.
void Sink(const FileNode& node) {
  for (const std::string& file : node.machine().Files()) {
    const std::string spent = FormatEntryName(ParseEntryName(file)->stem, Tries{0, 3});
    fs::rename(node.machine().LinuxPath(file), node.machine().LinuxPath(spent));
  }
  node.BootRescue();
}

struct VerbCase {
  std::string name;
  Words words;
  ExitCode ends;     // when undisturbed
  std::string runs;  // in the end
  Codes again;       // how a second run may end; empty: the next boot follows instead
  std::function<void(const FileNode&)> prepare = [](const FileNode&) {};
  std::string instead = runs;  // may run as well
};

const std::vector<VerbCase>& Verbs() {
  static const std::vector<VerbCase> verbs = {
      {"update", {"update"}, kStaged, "1.3.0", {kStaged}},
      {"gate that commits", {"gate"}, kDone, "1.3.0", {}, UpdateAndBoot},
      {"gate that falls back",
       {"gate"},
       kNotHealthy,
       "1.2.0",
       {},
       [](const FileNode& node) {
         UpdateAndBoot(node);
         MakeUnhealthy(node);
       }},
      {"gate after a fallback",
       {"gate"},
       kDone,
       "1.2.0",
       {},
       [](const FileNode& node) {
         UpdateAndBoot(node);
         MakeUnhealthy(node);
         REQUIRE(Ask(node, {"gate"}).code == kNotHealthy);
         REQUIRE(Held(node.Boot()) == Slot::A);
       }},
      {"rollback", {"rollback"}, kStaged, "1.1.0", {kStaged}},
      {"rollback of what is staged", {"rollback"}, kDone, "1.2.0", {kDone, kFailed}, Update},
      {"verify", {"verify"}, kDone, "1.2.0", {kDone}},
      {"probation that degrades",
       {"probation"},
       kNotHealthy,
       "1.2.0",
       {kNotHealthy, kDone},
       MakeUnhealthy},
      {"probation that falls back",
       {"probation"},
       kNotHealthy,
       "1.1.0",
       {kNotHealthy, kDone},
       [](const FileNode& node) {
         MakeUnhealthy(node);
         WriteText(node / "fall-back", "");
       }},
      {"self-test", {"boot", "selftest"}, kStaged, "1.2.0", {kStaged}},
      {"gate in a self-test",
       {"gate"},
       kDone,
       "1.2.0",
       {},
       [](const FileNode& node) {
         REQUIRE(Ask(node, {"boot", "selftest"}).code == kStaged);
         REQUIRE(Held(node.Boot()) == Slot::A);
       }},
      {"gate that ends a self-test",
       {"gate"},
       kDone,
       "1.2.0",
       {},
       [](const FileNode& node) {
         REQUIRE(Ask(node, {"boot", "selftest"}).code == kStaged);
         for (int boot = 1; boot < 3; boot++) {
           REQUIRE(Held(node.Boot()) == Slot::A);
           REQUIRE(Ask(node, {"gate"}).code == kDone);
         }
         REQUIRE(Held(node.Boot()) == Slot::A);
       }},
      {"recount", {"recount"}, kDone, "1.2.0", {}},
      {"gate after a recount",
       {"gate"},
       kDone,
       "1.2.0",
       {},
       [](const FileNode& node) {
         REQUIRE(Ask(node, {"recount"}).code == kDone);
         REQUIRE(Held(node.Boot()) == Slot::A);
       }},
      {"rescue that gives tries back", {"rescue"}, kDone, "1.2.0", {}, Sink},
      {"rescue that installs again",
       {"rescue"},
       kDone,
       "1.2.0",
       {},
       [](const FileNode& node) {
         ChangeByte(node.machine().disk() + "2", 5000);
         Sink(node);
       },
       "1.3.0"},  // the newest, because what was good cannot be fetched
  };
  return verbs;
}

// Every release that may boot is whole on the medium. If there is none, the rescue system remains,
// which needs nothing of what a node has.
void CheckWhole(const FileNode& node) {
  const BootState state = Boots(node);
  for (const Slot slot : {Slot::A, Slot::B}) {
    const BootEntry* entry = state.EntryOf(slot);
    if (!entry || entry->exhausted()) continue;
    CAPTURE(entry->file);
    const Release& release = TheLine().Find(entry->root_hash);
    const std::string disk = node.machine().disk();
    const UniqueFd image = Held(Open(disk + (slot == Slot::A ? "2" : "4"), O_RDONLY)),
                   verity = Held(Open(disk + (slot == Slot::A ? "3" : "5"), O_RDONLY)),
                   uki = Held(Open(node.machine().LinuxPath(entry->file), O_RDONLY));
    Held(ProveSeal(image.get(), verity.get(), release.image_size, release.root_hash, {}));
    CHECK(Held(HashFile(uki.get(), release.uki_size)) == release.uki_digest);
  }
}

// Whatever was left over, every verb works.
void CheckNothingBlocked(const FileNode& node) {
  RecordOf(node);
  if (Boots(node).release()) {
    const FileNode asked(node);
    const bool busy = Boots(asked).on_trial() || RecordOf(asked).SelfTesting();
    CheckAnswer(asked, {"status", "--json"}, {kDone, kStaged, kFellBack, kNotHealthy});
    CheckAnswer(asked, {"history"}, {kDone});
    Codes found = {kDone, kNothingToDo, kStaged, kRefused};
    if (busy) found = {kBusy};
    if (fs::exists(asked / "unhealthy")) found.insert(kNotHealthy);
    CheckAnswer(asked, {"update", "--check"}, found);
    CheckAnswer(asked, {"update", "--plan"}, found);
    CheckAnswer(asked, {"verify"}, {kDone, kNotTrusted});  // when a slot has no boot image
    const Said said = Ask(asked, {"rollback"});
    CAPTURE(Number(said.code), said.err);
    CHECK((said.code == kDone || said.code == kStaged ||
           said.err.contains("holds no release that was once good")));
  }
  const FileNode sunk(node);
  sunk.BootRescue();
  CheckAnswer(sunk, {"rescue"}, {kDone});
}

// Boots until nothing asks for another boot.
void BootUntilSettled(const FileNode& node) {
  for (int boots = 0;; boots++) {
    REQUIRE(boots < 8);
    if (Boots(node).entries.front().exhausted()) {
      node.BootRescue();
      CheckAnswer(node, {"rescue"}, {kDone});
    }
    const Slot slot = Held(node.Boot());
    CheckAnswer(node, {"gate"}, {kDone, kNotHealthy});
    const BootState state = Boots(node);
    if (state.next() == slot && !state.on_trial() && !fs::exists(node / "reboot")) return;
  }
}

// What a verb leads to: what is left afterwards, except post-mortems, which only explain.
struct End {
  std::string runs;
  ExitCode status = kDone, plan = kDone;
  std::set<std::string> files;
};

End EndOf(const FileNode& node) {
  BootUntilSettled(node);
  End end{Running(node), Ask(node, {"status"}).code, Ask(node, {"update", "--plan"}).code, {}};
  for (const char* part : {"esp", "state"})
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(node / part)) {
      std::string name = fs::relative(entry.path(), node / ".");
      // A gate that was cut short costs one more boot.
      if (const size_t spent = name.find("+0-"); spent != name.npos) name.resize(spent);
      if (!name.starts_with("state/failures")) end.files.insert(name);
    }
  // A self-test that was cut short has ended, and says so.
  const std::optional<SelfTest> test = RecordOf(node).selftest;
  CHECK((!test || test->state != SelfTestState::kRunning));
  if (test && test->state == SelfTestState::kFailed) end.status = kDone;
  return end;
}

void CheckEnd(const VerbCase& verb, const End& found, const End& expected) {
  if (found.runs != verb.runs && found.runs == verb.instead) return;
  CHECK(found.runs == expected.runs);
  CHECK(Number(found.status) == Number(expected.status));
  CHECK(Number(found.plan) == Number(expected.plan));
  std::vector<std::string> differences;
  std::ranges::set_symmetric_difference(found.files, expected.files,
                                        std::back_inserter(differences));
  CHECK(differences == std::vector<std::string>());
}

// A path without the random ends of temporary names.
std::string Steady(const fs::path& path) {
  fs::path steady;
  for (std::string part : path) {
    if (part.starts_with("tmp.")) part = "tmp";
    if (part.starts_with("staging-")) part = part.ends_with("-lock") ? "staging-lock" : "staging";
    steady /= part;
  }
  return steady;
}

// Covers everything that a run left, except the text of the lock.
Digest FingerprintOf(const FileNode& node) {
  std::multimap<std::string, std::string> contents;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(node / ".")) {
    std::string name = fs::relative(entry.path(), node / "."), content;
    if (name == "state/lock") continue;
    if (entry.is_symlink()) {
      content = fs::read_symlink(entry.path());
    } else if (entry.is_regular_file()) {
      const UniqueFd file = Held(Open(entry.path(), O_RDONLY));
      content = Held(HashFile(file.get(), entry.file_size())).Hex();
    }
    contents.emplace(Steady(name), std::move(content));
  }
  std::string all;
  for (const auto& [name, content] : contents) all += std::format("{} {}\n", name, content);
  return Sha256::Of(AsBytes(all));
}

// The faults to try at the calls of the verb with this number: all of them, or two, which differ
// between verbs and kinds of fault.
std::vector<Fault> Chosen(const std::vector<Fault>& kinds, size_t calls, size_t number) {
  std::vector<Fault> chosen;
  for (const Fault& kind : kinds)
    for (size_t at = 1; at <= calls; at++) {
      chosen.push_back(kind);
      chosen.back().at = at;
    }
  if (Thorough()) return chosen;
  const size_t step = chosen.size() / 2, first = (number * 7 + kinds.size() * 5) % step;
  return {chosen[first], chosen[first + step]};
}

// Gets how the verb ended, what it said, and whose call it was.
using Check = std::function<void(const VerbCase& verb, const Observed& faulty,
                                 const std::string& said, const DurableCall& call)>;

Observed Observe(const FileNode& node, const VerbCase& verb, const std::string& log,
                 const std::optional<Fault>& fault) {
  fs::remove(log);
  const std::vector<std::string> words(verb.words.begin(), verb.words.end());
  return Held(
      RunObserved(node.Hostctl(words), log, node.directory(), fault, {"state", "fetch", "esp"}));
}

std::string TextOf(const Fault& fault, const DurableCall& call) {
  std::string text = std::format("call {}, of {}: {} {}\nerror {}, signal {}", fault.at,
                                 call.program, call.name, call.path, fault.error, fault.signal);
  if (fault.cut)
    text += std::format(", power: names lost {}, contents {}", fault.cut->names_lost,
                        static_cast<int>(fault.cut->contents));
  return text;
}

// How many faults were applied, and how many different states they left. Each state is checked
// once.
struct Tried {
  size_t faults = 0, states = 0;
};

// Tries each of these faults at each of the chosen calls of a verb.
Tried TryVerb(const VerbCase& verb, size_t number, const std::vector<Fault>& kinds,
              const Check& check) {
  const TempDir logs;
  const std::string log = logs / "log";
  const FileNode prepared(TheLine().node());
  verb.prepare(prepared);
  const FileNode undisturbed(prepared);
  const Observed whole = Observe(undisturbed, verb, log, std::nullopt);
  INFO(verb.name << "\n" << LastLines(log, 20));
  REQUIRE(whole.ended == Number(verb.ends));
  REQUIRE(whole.calls.size() > 2);
  const End end = EndOf(undisturbed);
  REQUIRE(end.runs == verb.runs);

  size_t faults = 0;
  std::set<Digest> states;
  for (const Fault& fault : Chosen(kinds, whole.calls.size(), number)) {
    const FileNode node(prepared);
    const Observed faulty = Observe(node, verb, log, fault);
    if (!faulty.reached) continue;  // threads take turns: this run made fewer calls
    faults++;
    const DurableCall& call = faulty.calls[fault.at - 1];
    INFO(TextOf(fault, call) << "\n" << LastLines(log, 20));
    check(verb, faulty, LastLines(log, 20), call);
    if (!states.insert(FingerprintOf(node)).second) continue;
    CheckWhole(node);
    CheckNothingBlocked(node);
    if (!verb.again.empty()) CheckAnswer(node, verb.words, verb.again);
    CheckEnd(verb, EndOf(node), end);
  }
  return {faults, states.size()};
}

// The same for every verb. In a short run, for an update and half of the others.
void TryEverywhere(const std::vector<Fault>& kinds, const Check& check) {
  Tried all;
  for (size_t number = 0; number < Verbs().size(); number++)
    if (Thorough() || number == 0 || (number + kinds.size()) % 2 == 0) {
      const Tried tried = TryVerb(Verbs()[number], number, kinds, check);
      all.faults += tried.faults;
      all.states += tried.states;
    }
  CHECK(all.faults > Verbs().size() / 2);
  Count(all.faults, "faults");
  Count(all.states, "states");
}

bool OfFetch(const DurableCall& call) {
  return call.program == "fetch";
}

TEST_CASE("a verb killed before any of its durable calls blocks nothing, and converges") {
  TryEverywhere({{.signal = SIGKILL}}, [](const VerbCase& verb, const Observed& faulty,
                                          const std::string& said, const DurableCall& call) {
    if (!OfFetch(call)) {
      CHECK(faulty.ended == 128 + SIGKILL);
    } else if (faulty.ended != Number(verb.ends)) {
      CHECK(faulty.ended == Number(kNetwork));
      CHECK(said.contains("hostos-fetch@.service"));
    }
  });
}

TEST_CASE("a verb any of whose durable calls fails blocks nothing, and converges") {
  TryEverywhere({{.error = EIO}, {.error = ENOSPC}, {.error = EROFS}},
                [](const VerbCase& verb, const Observed& faulty, const std::string& said,
                   const DurableCall& call) {
                  // Some calls may fail without harm: hints to the kernel, and removals of what is
                  // not needed.
                  if (faulty.ended == Number(verb.ends)) return;
                  CHECK(said.contains("hostctl: "));
                  CHECK((faulty.ended == Number(kFailed) || faulty.ended == Number(kNoSpace) ||
                         (OfFetch(call) && faulty.ended == Number(kNetwork))));
                });
}

TEST_CASE("a verb interrupted at any of its durable calls blocks nothing, and converges") {
  TryEverywhere({{.signal = SIGTERM}, {.signal = SIGINT}},
                [](const VerbCase& verb, const Observed& faulty, const std::string& said,
                   const DurableCall&) {
                  // The others end by the signal itself.
                  const std::string_view word = verb.words.front();
                  if (word != "update" && word != "verify" && word != "rescue") return;
                  CHECK(faulty.ended == Number(kFailed));
                  CHECK(said.contains("hostctl: interrupted"));
                });
}

TEST_CASE("power cut at any durable call of a verb blocks nothing, and converges") {
  TryEverywhere({{.cut = Cut{.names_lost = true, .contents = Cut::kLost}},
                 {.cut = Cut{.names_lost = false, .contents = Cut::kLost}},
                 {.cut = Cut{.names_lost = false, .contents = Cut::kTorn}},
                 {.cut = Cut{.names_lost = true, .contents = Cut::kKept}}},
                [](const VerbCase&, const Observed& faulty, const std::string&,
                   const DurableCall&) { CHECK(faulty.ended == 128 + SIGKILL); });
}

}  // namespace
}  // namespace hostos
