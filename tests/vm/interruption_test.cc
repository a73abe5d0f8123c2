// Updates that are killed, cut off or refused on a real node.
#include <signal.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <map>

#include "tests/held.h"
#include "tests/vm/milestones.h"

namespace hostos {
namespace {

using nlohmann::json;

// libostree's fetcher has this many requests in flight: they had not arrived when the process was
// killed.
constexpr size_t kInFlight = 8;

struct ObjectRequests {
  size_t total = 0;
  size_t repeated = 0;  // for an object that was sent before
};

// Content and metadata of the tree: what a pull moves. The commit itself is read in every run.
ObjectRequests Objects(const Node& node) {
  ObjectRequests found;
  std::map<std::string, int> times;
  for (const HttpRequest& request : node.server().Requests()) {
    const std::string& path = request.path;
    if (request.status != 200 || path.find("/objects/") == std::string::npos) continue;
    if (path.ends_with(".commit") || path.ends_with(".commitmeta")) continue;
    found.total++;
    if (++times[path] > 1) found.repeated++;
  }
  return found;
}

// The old release runs and boots next, and nothing boots the other slot.
void CheckOldBoots(Node& node, const std::string& phase) {
  const json status = Held(node.Json({"status"}));
  Held(Expect(status, "/running", "A"));
  Held(Expect(status, "/boots_next", "A"));
  Held(Expect(status, "/version", "1.0.0"));
  Held(Expect(status, "/slots/1/state", "empty"));
  Held(Expect(status, "/update/phase", phase));
}

TEST_CASE("an update killed while it fetches and cut off while it writes ends well all the same") {
  auto node = Held(NodeAt(Milestone::kFirst, "interrupted"));
  Vm& vm = node->vm();
  // Without a delta pack: object by object.
  CHECK(std::filesystem::remove(node->published().directory() + "/packs"));
  Held(node->published().Publish("1.1.0"));

  const size_t missing = Held(node->Json({"update", "--plan"})).at("plan").at("objects");
  Held(vm.Spawn({"hostctl", "update"}));
  Held(vm.WaitUntil([&] { return Objects(*node).total >= missing / 4; }, Node::kUpdateLimit,
                    "a quarter of the objects to be fetched"));
  Held(vm.KillSpawned());
  CHECK(Held(vm.WaitSpawned(Node::kCommandLimit)) == 128 + SIGKILL);
  const ObjectRequests killed = Objects(*node);
  CHECK(killed.total < missing);
  CheckOldBoots(*node, "fetch");

  Held(vm.Spawn({"hostctl", "update"}));
  Held(vm.WaitOutput("write:", Node::kUpdateLimit));
  Held(vm.Reset());
  const ObjectRequests fetched = Objects(*node);
  CHECK(fetched.total - fetched.repeated == missing);
  CHECK(fetched.repeated <= kInFlight);
  Held(node->WaitBooted());
  CheckOldBoots(*node, "write");

  const std::string output = Held(node->Run({"hostctl", "update"}, 4, Node::kUpdateLimit));
  INFO(output);
  CHECK(Objects(*node).total == fetched.total);
  const json status = Held(node->Json({"status"}, 4));
  Held(Expect(status, "/boots_next", "B"));
  Held(Expect(status, "/slots/1/state", "armed"));
  const json proof = Held(node->Json({"verify", "--slot", "B"}));
  Held(Expect(proof, "/slots/0/proven", true));
  Held(Expect(proof, "/slots/0/release/version", "1.1.0"));
}

// Everything that an update may change, as one text. Of the files below /var/lib/hostos* only the
// names count, because the record has the time of the check. Left out are the configuration of the
// staging repository, which is created for planning, and verified metadata, which may be kept.
std::string Evidence(Node& node) {
  return Held(node.Run({"sh", "-c",
                        "lsblk -rno NAME,PARTUUID,PARTLABEL /dev/vda; find /efi -type f | sort | "
                        "xargs sha256sum; find /var/lib/hostos* -type f ! -name lock "
                        "! -path '*/repo/config' ! -path '*/tuf/*' | sort"}));
}

TEST_CASE("an update with no room on the ESP is refused, and nothing changes") {
  auto node = Held(NodeAt(Milestone::kFirst, "no-space"));
  Held(node->published().Publish("1.1.0"));
  Held(node->Run({"sh", "-c", "mkdir /efi/old && dd if=/dev/zero of=/efi/old/vmlinuz bs=1M"}, 1));
  const std::string before = Evidence(*node);

  const std::string message = Held(node->Run({"hostctl", "update"}, 9));
  Held(ExpectContains("the message", message, "not enough space on the ESP"));
  Held(ExpectContains("the message", message, "old/vmlinuz"));
  Held(ExpectContains("the message", message, "Nothing was changed."));
  CHECK(Evidence(*node) == before);
  CHECK(Objects(*node).total == 0);

  Held(node->Run({"rm", "/efi/old/vmlinuz"}));
  Held(Expect(Held(node->Json({"update", "--plan"})), "/result", "available"));
}

}  // namespace
}  // namespace hostos
