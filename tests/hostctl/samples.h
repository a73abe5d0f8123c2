// Views with invented values, for the tests of what is printed of them.
#pragma once

#include <string>

#include "updater/hostctl/view.h"

namespace hostos {

constexpr uint64_t kNow = 1'795'225'800;  // 2026-11-21 01:50 UTC

inline Digest SampleDigest(std::string_view what) {
  return Sha256::Of(AsBytes(what));
}

inline Release SampleRelease(const std::string& version) {
  return {.commit = SampleDigest("commit " + version),
          .version = version,
          .architecture = "x86-64",
          .channel = "stable",
          .timestamp = 1'795'132'800,  // 2026-11-20 00:00 UTC
          .seal_format = 1,
          .root_hash = SampleDigest("root " + version),
          .image_size = 427'600'000,
          .verity_size = 3'400'000,
          .uki_digest = SampleDigest("uki " + version),
          .uki_size = 32'200'000};
}

inline ReleaseId SampleId(const std::string& version) {
  return {version, SampleDigest("commit " + version), SampleDigest("root " + version)};
}

inline SlotStatus SampleSlot(Slot slot, SlotCondition condition, const std::string& version) {
  SlotStatus status{.slot = slot, .condition = condition};
  status.release = SampleRelease(version);
  status.root_hash = status.release->root_hash;
  return status;
}

// 1.1.0 runs in slot B, blessed; 1.0.0 is in slot A; nothing else ever happened.
inline StatusView SampleStatus() {
  StatusView view{.now = kNow};
  Status& status = view.status;
  status.slots[0] = SampleSlot(Slot::A, SlotCondition::kFactory, "1.0.0");
  status.slots[1] = SampleSlot(Slot::B, SlotCondition::kBlessed, "1.1.0");
  status.slots[1].running = status.slots[1].boots_next = true;
  status.slots[1].blessed_at = kNow - 48 * 60;
  status.version = "1.1.0";
  status.channel = "stable";
  status.architecture = "x86-64";
  status.checked = kNow - 120;
  return view;
}

// The same machine after 1.2.0 failed its health gate in slot A.
inline StatusView SampleFallback() {
  StatusView view = SampleStatus();
  const HistoryEntry entry{.outcome = Outcome::kFellBack,
                           .time = kNow - 7800,
                           .release = SampleId("1.2.0"),
                           .from = "1.1.0",
                           .slot = Slot::A,
                           .boots = 1,
                           .reason = "canary: did not start within 30 s",
                           .output = "runc: exec format error\nexit code 1"};
  Status& status = view.status;
  status.slots[0] = SampleSlot(Slot::A, SlotCondition::kBad, "1.2.0");
  status.slots[0].tries = Tries{0, 1};
  status.slots[0].reason = entry.reason;
  status.fallback = entry;
  status.denied = {{entry.release, entry.time, entry.reason, entry.boots}};
  view.history = {entry};
  PostMortem post_mortem{.release = entry.release,
                         .time = entry.time,
                         .boots = 1,
                         .phase = "health gate",
                         .check = "canary",
                         .cause = "the health gate rebooted it"};
  post_mortem.checks = {{.name = "canary", .detail = "did not start within 30 s"}};
  post_mortem.traces = {{.boot_id = std::string(32, 'a'),
                         .begun = kNow - 7900,
                         .ended = kNow - 7810,
                         .in_order = true,
                         .log = "systemd: Reached target reboot.target\n"}};
  view.post_mortems = {post_mortem};
  return view;
}

inline UpdateRecord SampleUpdate(Phase phase) {
  return {.phase = phase,
          .target = SampleId("1.3.0"),
          .slot = Slot::A,
          .from = SampleId("1.1.0"),
          .timestamp = 1'795'132'800,
          .started = kNow - 300};
}

inline SelfTest SampleSelfTest() {
  return {.state = SelfTestState::kFailed,
          .version = "1.1.0",
          .time = kNow,
          .boot_id = "boot-1",
          .boots = 1,
          .reason = "boot 1 of 3: it does not count"};
}

inline PlanView SamplePlan() {
  PlanView view{.tries = 3};
  UpdatePlan plan{
      .target = {},
      .running = SampleRelease("1.1.0"),
      .slot = Slot::A,
      .fetch = {1303, 41'200'000, 110'000'000, 382'900'000},
      .esp_free = 445'000'000,
      .esp_size = 478'000'000,
      .state_needed = {143'800'000, 2412},
      .state_free = {3'100'000'000, 120'000},
      .packages = {{"linux", "6.12.107", "6.12.117"}, {"nano", "", "8.4"}, {"vi", "9", ""}},
      .cves = CveChanges{.fixed = {{.source = "linux",
                                    .from = "6.12.107-1",
                                    .to = "6.12.117-1",
                                    .urgency = "high",
                                    .cves = {"CVE-2026-99272", "CVE-2026-9000"}}},
                         .back = {},
                         .incomplete = {}},
      .etc_changes = {"hostname", "ssh/sshd_config.d/10-site.conf"}};
  plan.target.release = SampleRelease("1.3.0");
  plan.target.index = 14;
  plan.target.valid_signatures = plan.target.required_signatures = 2;
  view.check = {.finding = Finding::kAvailable, .running = "1.1.0", .target = plan.target};
  view.plan = std::move(plan);
  return view;
}

}  // namespace hostos
