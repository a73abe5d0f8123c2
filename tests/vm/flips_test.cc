// What a node's slots, ESP and state look like after many changes of slot.
#include <catch2/catch_test_macros.hpp>
#include <chrono>

#include "tests/held.h"
#include "tests/vm/milestones.h"

namespace hostos {
namespace {

using nlohmann::json;

constexpr int kRounds = 5;  // of two flips each

// Every file of HostOS on the disk, by name and size, except what differs between rounds: the
// record's times, and the inode numbers of the /etc upper.
constexpr const char* kLeftOver = R"sh(
find /var/lib/hostos* -maxdepth 2 ! -name '*.json' -printf '%p\n' | sort
find /efi -type f -printf '%p %s\n' | sort
losetup --list --noheadings | wc -l
findmnt --noheadings --raw --output TARGET | grep -c -e hostos -e loop || :
)sh";
constexpr const char* kUsed = "du -c --block-size=1024 /var/lib/hostos* | tail -n 1 | cut -f1";

TEST_CASE("flips: ten in a virtual machine leave nothing over, and none is slower") {
  auto node = Held(NodeAt(Milestone::kSecond, "flips"));
  const auto flip = [&](const std::vector<std::string>& command, const char* slot) {
    const auto begin = std::chrono::steady_clock::now();
    Held(node->RunToReboot(command, 1));
    const auto took = std::chrono::steady_clock::now() - begin;
    CHECK(Held(node->Json({"status"}))["running"] == slot);
    return std::chrono::duration_cast<Seconds>(took).count();
  };
  std::string left_over;
  int64_t used = 0, first_took = 0;
  for (int round = 0; round < kRounds; round++) {
    const int64_t took = flip({"hostctl", "rollback", "--reboot"}, "A") +
                         flip({"hostctl", "update", "--retry", "--reboot"}, "B");
    const std::string found = Held(node->Run({"sh", "-c", kLeftOver}));
    const int64_t uses = std::stoll(Held(node->Run({"sh", "-c", kUsed})));
    INFO("round " << round << ": " << took << " s, " << uses << " KiB\n" << found);
    if (round == 0) {
      left_over = found;
      used = uses;
      first_took = took;
    }
    CHECK(found == left_over);
    CHECK(uses <= used + 256);               // history and journal
    CHECK(took <= first_took * 3 / 2 + 30);  // other machines run beside this one
  }
  const json history = Held(node->Json({"history"}))["history"];
  int committed = 0;
  for (const json& entry : history) committed += entry["outcome"] == "committed" ? 1 : 0;
  CHECK(committed == kRounds + 1);
}

}  // namespace
}  // namespace hostos
