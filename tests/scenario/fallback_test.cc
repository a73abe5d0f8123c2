// A release that does not work, in whatever way, ends with the old release running and a reason.
#include <catch2/catch_test_macros.hpp>

#include "tests/scenario/machine.h"
#include "tests/text_file.h"
#include "updater/engine/post_mortem.h"

using namespace hostos;

TEST_CASE("falls back when the health gate fails, after one boot, and says why") {
  Machine machine;
  machine.unhealthy["1.1.0"] = "container did not start within 30 s";
  REQUIRE(machine.Update());
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.boots() == 3);

  const Status status = machine.ReadStatus();
  REQUIRE(status.fallback);
  CHECK(status.fallback->release.version == "1.1.0");
  CHECK(status.fallback->boots == 1);
  CHECK(status.fallback->reason.contains("container did not start within 30 s"));
  CHECK(status.fallback->output == "output of 1.1.0");
  CHECK(status.slots[1].condition == SlotCondition::kBad);
  CHECK(status.slots[0].boots_next);
  CHECK(machine.state.record().Load().value().time_floor == 0);
}

TEST_CASE("falls back without any code of ours when the root never comes up") {
  Machine machine;
  machine.BreakRoot("1.1.0");
  REQUIRE(machine.Update());
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.boot.started().size() == 4);  // three tries, then the old release
  const Status status = machine.ReadStatus();
  REQUIRE(status.fallback);
  CHECK(status.fallback->boots == 3);
  CHECK(status.fallback->reason.contains("did not reach its health gate in 3 boots"));
}

TEST_CASE("falls back when the boot image has rotted on the ESP, even if it starts") {
  Machine machine;
  REQUIRE(machine.Update());
  Digest& image = machine.boot.images[Sha256::Of(AsBytes("root 1.1.0"))];
  std::swap(image.bytes[0], image.bytes[1]);
  CHECK(machine.Boot() == "1.0.0");
  const Status status = machine.ReadStatus();
  REQUIRE(status.fallback);
  CHECK(status.fallback->boots == 1);
  CHECK(status.fallback->reason.starts_with("boot image: expected SHA-256"));
}

TEST_CASE("a release that fell back is not tried again unless asked") {
  Machine machine;
  machine.unhealthy["1.1.0"] = "not serving";
  REQUIRE(machine.Update());
  machine.Boot();
  Result<UpdatePlan> again = machine.Update();
  CHECK(again.error().code == Code::kRefused);
  CHECK(again.error().message.contains("not serving"));
  CHECK(machine.Boot() == "1.0.0");

  machine.unhealthy.clear();
  REQUIRE(machine.Update({.retry = true}));
  CHECK(machine.Boot() == "1.1.0");
  CHECK(machine.ReadStatus().denied.empty());
  CHECK_FALSE(machine.ReadStatus().fallback);
}

TEST_CASE("a release that is tried again begins with the /etc of the one that arms it") {
  Machine machine;
  machine.unhealthy["1.1.0"] = "not serving";
  REQUIRE(machine.Update());
  machine.Boot();
  WriteText(machine.Etc("1.1.0") + "/site.conf", "of the first try");
  WriteText(machine.Etc("1.0.0") + "/site.conf", "mended");
  machine.unhealthy.clear();
  REQUIRE(machine.Update({.retry = true}));
  CHECK(machine.Boot() == "1.1.0");
  CHECK(ReadText(machine.Etc("1.1.0") + "/site.conf") == "mended");
  WriteText(machine.Etc("1.1.0") + "/site.conf", "edited");
  CHECK(machine.Boot() == "1.1.0");
  CHECK(ReadText(machine.Etc("1.1.0") + "/site.conf") == "edited");
}

TEST_CASE("releases that fall back one after the other leave no more uppers than there are slots") {
  Machine machine;
  for (const char* version : {"1.2.0", "1.3.0", "1.4.0"}) {
    machine.source.Publish(version, 3000, {"kernel 3"});
    machine.unhealthy[version] = "not serving";
    REQUIRE(machine.Update());
    CHECK(machine.Boot() == "1.0.0");
    CHECK(std::filesystem::exists(machine.Etc(version)));
  }
  CHECK_FALSE(std::filesystem::exists(machine.Etc("1.2.0")));
  CHECK_FALSE(std::filesystem::exists(machine.Etc("1.3.0")));
}

TEST_CASE("the release after a bad one is installed over it, and its objects are kept") {
  Machine machine;
  machine.unhealthy["1.1.0"] = "not serving";
  REQUIRE(machine.Update());
  machine.Boot();
  machine.source.Publish("1.2.0", 3000, {"kernel 2", "containerd 3", "bash"});
  REQUIRE(machine.Update());
  CHECK(machine.Boot() == "1.2.0");
  CHECK(machine.source.transfers("kernel 2") == 1);
}

TEST_CASE("a bad release installed over the last good one is never the only thing that boots") {
  Machine machine;
  REQUIRE(machine.Update());
  REQUIRE(machine.Boot() == "1.1.0");
  machine.source.Publish("1.2.0", 3000, {"kernel 3"});
  machine.BreakRoot("1.2.0");
  REQUIRE(machine.Update());
  CHECK(machine.Boot() == "1.1.0");
  CHECK(machine.ReadStatus().slots[0].condition == SlotCondition::kBad);
}

TEST_CASE("a fallback leaves a post-mortem: the gate's checks, and what the boots left behind") {
  Machine machine;
  machine.unhealthy["1.1.0"] = "not serving";
  machine.black_box.traces = {{"boot-2", 10, 20, true, "systemd: Shutting down.\n"}};
  REQUIRE(machine.Update());
  machine.Boot();

  const std::vector<PostMortem> found = ReadPostMortems(machine.world);
  REQUIRE(found.size() == 1);
  const HistoryEntry entry = machine.ReadStatus().fallback.value();
  CHECK(found[0].release.commit == entry.release.commit);
  CHECK(found[0].time == entry.time);
  CHECK(found[0].boots == 1);
  CHECK(found[0].phase == "health gate");
  CHECK(found[0].check == "canary");
  CHECK(found[0].output == "output of 1.1.0");
  CHECK(found[0].cause == "the health gate rebooted it");
  CHECK(found[0].checks.at(0).detail == "not serving");
  CHECK(found[0].traces.at(0).log == "systemd: Shutting down.\n");
}

TEST_CASE("what ended a release's boots is told from what they left, and part of the reason") {
  struct Case {
    std::vector<BootTrace> traces;
    std::string kernel;
    bool watchdog;
    std::string phase, cause;
  };
  const BootTrace shut_down{"boot-2", 10, 20, true, ""}, cut_off{"boot-3", 30, 40, false, ""};
  const Case cases[] = {
      {{}, "", false, "early boot", "its boots left nothing in the journal"},
      {{},
       "Oops\nKernel panic - not syncing: Attempted to kill init!\nmore",
       false,
       "early boot",
       "Kernel panic - not syncing: Attempted to kill init!"},
      {{cut_off}, "", true, "boot", "the hardware watchdog reset the machine"},
      {{shut_down, cut_off}, "", false, "boot", "cut off: power, the reset button"},
      {{shut_down}, "", false, "boot", "it was shut down"},
  };
  for (const Case& left : cases) {
    Machine machine;
    machine.BreakRoot("1.1.0");
    machine.black_box.traces = left.traces;
    machine.black_box.kernel = left.kernel;
    machine.black_box.watchdog = left.watchdog;
    REQUIRE(machine.Update());
    CHECK(machine.Boot() == "1.0.0");
    const PostMortem found = ReadPostMortems(machine.world).at(0);
    CHECK(found.phase == left.phase);
    CHECK(found.cause.contains(left.cause));
    CHECK(machine.ReadStatus().fallback->reason.contains(left.cause));
    CHECK(machine.ReadStatus().denied.at(0).reason.contains(left.cause));
  }
}

TEST_CASE("the post-mortems of the last twenty failures are kept") {
  Machine machine;
  for (int i = 1; i <= 23; i++) {
    const std::string version = std::format("2.{}.0", i);
    machine.source.Publish(version, 3000 + static_cast<uint64_t>(i), {version});
    machine.unhealthy[version] = "not serving";
    machine.clock.Sleep(Seconds(60));
    REQUIRE(machine.Update());
    REQUIRE(machine.Boot() == "1.0.0");
  }
  const std::vector<PostMortem> found = ReadPostMortems(machine.world);
  REQUIRE(found.size() == PostMortem::kLimit);
  CHECK(found.front().release.version == "2.4.0");
  CHECK(found.back().release.version == "2.23.0");
}

TEST_CASE("a network that was gone before the update does not make the release fall back") {
  Machine machine;
  machine.always = {{.name = "required/dns", .detail = "no route", .environment = true}};
  REQUIRE(machine.Update());
  CHECK(machine.Boot() == "1.1.0");
  CHECK(machine.boots() == 2);
  CHECK_FALSE(machine.ReadStatus().fallback);
}

TEST_CASE("a network that is gone since the update costs the trial, and no boot more") {
  Machine machine;
  REQUIRE(machine.Update());
  machine.always = {{.name = "required/dns", .detail = "no route", .environment = true}};
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.boots() == 3);
  CHECK(machine.ReadStatus().fallback->reason.contains("required/dns (environment): no route"));
  CHECK(machine.Boot() == "1.0.0");
  CHECK(machine.boots() == 4);
  CHECK(machine.Update().error().code == Code::kRefused);
}
