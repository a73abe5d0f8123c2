#include "updater/hostctl/metrics.h"

#include <algorithm>
#include <format>

namespace hostos {
namespace {

// name="value", with the value escaped.
std::string Label(std::string_view name, std::string_view value) {
  std::string text = std::format("{}=\"", name);
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    text += c == '\n' ? ' ' : c;
  }
  return text + "\"";
}

class Metrics {
 public:
  void Begin(std::string_view name, std::string_view help) {
    name_ = name;
    text_ += std::format("# HELP {} {}\n# TYPE {} gauge\n", name, help, name);
  }
  void Add(uint64_t value, const std::string& labels = "") {
    text_ += labels.empty() ? std::format("{} {}\n", name_, value)
                            : std::format("{}{{{}}} {}\n", name_, labels, value);
  }
  const std::string& text() const { return text_; }

 private:
  std::string_view name_;
  std::string text_;
};

void AddUpdate(Metrics& metrics, const Status& status) {
  using enum Phase;
  metrics.Begin("hostos_update_phase", "1 for the phase that an update is in, or stopped in.");
  for (const Phase phase : {kFetch, kWrite, kProve, kArm, kArmed, kTrial})
    metrics.Add(status.update && status.update->phase == phase, Label("phase", Name(phase)));
  if (!status.last) return;
  using enum Outcome;
  metrics.Begin("hostos_update_last_outcome", "1 for how the newest entry of the history ended.");
  for (const Outcome outcome : {kCommitted, kFellBack, kRolledBack, kDegraded})
    metrics.Add(status.last->outcome == outcome, Label("outcome", Name(outcome)));
  metrics.Begin("hostos_update_last_time_seconds", "When that was.");
  metrics.Add(status.last->time);
}

void AddTraffic(Metrics& metrics, const Traffic& traffic) {
  const auto add = [&](uint64_t all, uint64_t packs) {
    metrics.Add(packs, Label("in", "delta-pack"));
    metrics.Add(all - std::min(all, packs), Label("in", "other"));
  };
  metrics.Begin("hostos_update_network_bytes",
                "What the update in progress, or else the last one, received.");
  add(traffic.bytes, traffic.pack_bytes);
  metrics.Begin("hostos_update_network_requests", "In how many requests.");
  add(traffic.requests, traffic.pack_requests);
}

void AddVerification(Metrics& metrics, const Status& status) {
  metrics.Begin("hostos_verify_ok", "1 when the last verification proved the slot.");
  for (const SlotStatus& slot : status.slots)
    if (slot.verified) metrics.Add(slot.verified->proven(), Label("slot", Name(slot.slot)));
  metrics.Begin("hostos_verify_time_seconds", "When the slot was verified last.");
  for (const SlotStatus& slot : status.slots)
    if (slot.verified) metrics.Add(slot.verified->time, Label("slot", Name(slot.slot)));
}

void AddRescue(Metrics& metrics, const Status& status) {
  metrics.Begin("hostos_rescue_ok", "0 when the rescue on the ESP should be another one.");
  metrics.Add(status.rescue.problem.empty());
}

void AddSupport(Metrics& metrics, const Support& support) {
  metrics.Begin("hostos_preview", "1 when what runs is not for production.");
  metrics.Add(support.preview);
  if (support.ends == UINT64_MAX) return;
  metrics.Begin("hostos_support_end_seconds", "When the support of what runs ends.");
  metrics.Add(support.ends);
}

}  // namespace

std::string MetricsText(const Status& status, std::span<const tuf::TrustedRole> trusted) {
  Metrics metrics;
  metrics.Begin("hostos_info", "What runs, and in which slot.");
  for (const SlotStatus& slot : status.slots)
    if (slot.running)
      metrics.Add(1, std::format("{},{},{},{}", Label("version", status.version),
                                 Label("channel", status.channel),
                                 Label("architecture", status.architecture),
                                 Label("slot", Name(slot.slot))));
  AddUpdate(metrics, status);
  if (status.traffic) AddTraffic(metrics, *status.traffic);
  metrics.Begin("hostos_index_floor", "No release with a smaller index is installed.");
  metrics.Add(status.index_floor);
  AddVerification(metrics, status);
  metrics.Begin("hostos_metadata_expires_seconds",
                "When what is trusted of a role counts no more.");
  for (const tuf::TrustedRole& role : trusted) metrics.Add(role.expires, Label("role", role.role));
  AddRescue(metrics, status);
  AddSupport(metrics, status.support);
  return metrics.text();
}

Result<> WriteMetrics(World& world) {
  const Lock lock = TRY(world.state.LockMetrics());
  const Status status = TRY(ReadStatus(world));
  // If these cannot be read, the other metrics are still worth writing.
  return world.state.SaveMetrics(
      MetricsText(status, world.source.Trusted().value_or(std::vector<tuf::TrustedRole>())));
}

}  // namespace hostos
