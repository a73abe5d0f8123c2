#include "updater/hostctl/json.h"

#include <nlohmann/json.hpp>

namespace hostos {
namespace {

using Json = nlohmann::ordered_json;

Json Begin() {
  return {{"format", kJsonFormat}};
}

// A check may output any bytes; the JSON stays valid UTF-8.
std::string Print(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json Time(uint64_t seconds) {
  return seconds ? Json(FormatTimeIso(seconds)) : Json();
}
Json Text(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}
Json Hash(const Digest& digest) {
  return digest == Digest{} ? Json() : Json(digest.Hex());
}

Json Id(const ReleaseId& id) {
  return {{"version", Text(id.version)},
          {"commit", Hash(id.commit)},
          {"root_hash", Hash(id.root_hash)}};
}

Json Full(const Release& release) {
  return {{"version", release.version},
          {"commit", release.commit.Hex()},
          {"root_hash", release.root_hash.Hex()},
          {"architecture", release.architecture},
          {"channel", release.channel},
          {"released", Time(release.timestamp)},
          {"seal_format", release.seal_format},
          {"image_bytes", release.image_size},
          {"verity_bytes", release.verity_size},
          {"uki_bytes", release.uki_size},
          {"uki_sha256", release.uki_digest.Hex()},
          {"rescue_bytes", release.rescue ? Json(release.rescue->size) : Json()},
          {"rescue_sha256", release.rescue ? Json(release.rescue->digest.Hex()) : Json()}};
}

Json Of(const SlotStatus& slot) {
  Json json = {{"slot", Name(slot.slot)},
               {"state", Name(slot.condition)},
               {"running", slot.running},
               {"boots_next", slot.boots_next},
               {"root_hash", slot.root_hash ? Json(slot.root_hash->Hex()) : Json()},
               {"release", slot.release ? Full(*slot.release) : Json()},
               {"tries", nullptr},
               {"blessed_at", Time(slot.blessed_at)},
               {"reason", Text(slot.reason)},
               {"verified", nullptr}};
  if (slot.verified)
    json["verified"] = {{"time", Time(slot.verified->time)},
                        {"proven", slot.verified->proven()},
                        {"problem", Text(slot.verified->problem)}};
  if (slot.tries) json["tries"] = {{"left", slot.tries->left}, {"done", slot.tries->done}};
  return json;
}

Json Of(const std::optional<Traffic>& traffic) {
  if (!traffic) return nullptr;
  return {{"bytes", traffic->bytes},
          {"requests", traffic->requests},
          {"pack_bytes", traffic->pack_bytes},
          {"pack_requests", traffic->pack_requests}};
}

Json Of(const UpdateRecord& update) {
  Json attempts = Json::array();
  for (const Attempt& attempt : update.attempts)
    attempts.push_back({{"boot_id", attempt.boot_id}, {"time", Time(attempt.time)}});
  return {{"phase", Name(update.phase)},     {"slot", Name(update.slot)},
          {"target", Id(update.target)},     {"from", Id(FallbackOf(update))},
          {"started", Time(update.started)}, {"attempts", attempts},
          {"recount", update.was_good},      {"failed_before", update.failed_before},
          {"failure", Text(update.failure)}, {"output", Text(update.failure_output)},
          {"traffic", Of(update.traffic)}};
}

Json Of(const SelfTest& test) {
  return {{"state", Name(test.state)},
          {"version", test.version},
          {"time", Time(test.time)},
          {"boots", test.boots},
          {"reason", Text(test.reason)}};
}

Json Of(const CheckResult& check) {
  return {{"name", check.name},
          {"required", check.required},
          {"ok", check.ok},
          {"environment", check.environment},
          {"detail", Text(check.detail)},
          {"output", Text(check.output)},
          {"parts", check.parts},
          {"milliseconds", check.took.count()}};
}

Json Of(const PostMortem* post_mortem) {
  if (!post_mortem) return nullptr;
  Json json = {{"phase", post_mortem->phase},
               {"check", Text(post_mortem->check)},
               {"cause", post_mortem->cause},
               {"watchdog", post_mortem->watchdog},
               {"kernel", Text(post_mortem->kernel)},
               {"checks", Json::array()},
               {"boots", Json::array()}};
  for (const CheckResult& check : post_mortem->checks) json["checks"].push_back(Of(check));
  for (const BootTrace& trace : post_mortem->traces)
    json["boots"].push_back({{"boot_id", trace.boot_id},
                             {"begun", Time(trace.begun)},
                             {"ended", Time(trace.ended)},
                             {"in_order", trace.in_order},
                             {"log", Text(trace.log)}});
  return json;
}

Json Of(const HistoryEntry& entry, const std::vector<PostMortem>& post_mortems) {
  return {{"outcome", Name(entry.outcome)},
          {"time", Time(entry.time)},
          {"release", Id(entry.release)},
          {"slot", Name(entry.slot)},
          {"from", Text(entry.from)},
          {"boots", entry.boots},
          {"reason", Text(entry.reason)},
          {"output", Text(entry.output)},
          {"traffic", Of(entry.traffic)},
          {"post_mortem", Of(PostMortemOf(post_mortems, entry.release.commit, entry.time))}};
}

Json Of(const UpdatePlan::RescueChange& rescue) {
  return {{"bytes", rescue.image.size}, {"from", Text(rescue.from)}, {"fits", rescue.fits}};
}

Json Of(const CheckView& view) {
  Json json = Begin();
  json["result"] = Name(view.finding);
  json["message"] = Text(view.message);
  json["running"] = Text(view.running);
  json["release"] = view.target ? Full(view.target->release) : Json();
  json["index"] = view.target ? Json(view.target->index) : Json();
  json["signatures"] = nullptr;
  if (view.target)
    json["signatures"] = {{"valid", view.target->valid_signatures},
                          {"required", view.target->required_signatures}};
  return json;
}

Json Of(const std::vector<CveChange>& changes) {
  Json json = Json::array();
  for (const CveChange& change : changes)
    json.push_back({{"source", change.source},
                    {"from", change.from},
                    {"to", change.to},
                    {"urgency", change.urgency},
                    {"cves", change.cves}});
  return json;
}

Json Of(const Result<CveChanges>& cves) {
  if (!cves)
    return {{"problem", cves.error().message},
            {"fixed", nullptr},
            {"back", nullptr},
            {"incomplete", nullptr}};
  return {{"problem", nullptr},
          {"fixed", Of(cves->fixed)},
          {"back", Of(cves->back)},
          {"incomplete", cves->incomplete}};
}

Json Of(const UpdatePlan& plan) {
  Json packages = Json::array();
  for (const PackageChange& change : plan.packages)
    packages.push_back(
        {{"name", change.name}, {"from", Text(change.from)}, {"to", Text(change.to)}});
  return {{"slot", Name(plan.slot)},
          {"objects", plan.fetch.objects},
          {"download_bytes", plan.fetch.download_bytes},
          {"delta_pack", plan.fetch.packed},
          {"unpacked_bytes", plan.fetch.unpacked_bytes},
          {"reused_bytes", plan.fetch.reused_bytes},
          {"esp", {{"free_bytes", plan.esp_free}, {"size_bytes", plan.esp_size}}},
          {"rescue", plan.rescue ? Of(*plan.rescue) : Json()},
          {"state",
           {{"needed_bytes", plan.state_needed.bytes},
            {"free_bytes", plan.state_free.bytes},
            {"needed_inodes", plan.state_needed.inodes},
            {"free_inodes", plan.state_free.inodes}}},
          {"packages", plan.running ? packages : Json()},
          {"cves", Of(plan.cves)},
          {"etc_changes", plan.etc_changes}};
}

}  // namespace

std::string StatusJson(const StatusView& view) {
  const Status& status = view.status;
  Json json = Begin();
  json["version"] = Text(status.version);
  json["channel"] = Text(status.channel);
  json["architecture"] = Text(status.architecture);
  json["running"] = view.Running() ? Json(Name(view.Running()->slot)) : Json();
  json["boots_next"] = view.BootsNext() ? Json(Name(view.BootsNext()->slot)) : Json();
  json["reboot_needed"] = view.RebootNeeded();
  json["slots"] = {Of(status.slots[0]), Of(status.slots[1])};
  json["update"] = status.update ? Of(*status.update) : Json();
  json["busy"] = Text(view.lock_holder);
  json["fallback"] = status.fallback ? Of(*status.fallback, view.post_mortems) : Json();
  json["degraded"] = status.degraded ? Of(*status.degraded, view.post_mortems) : Json();
  json["denied"] = Json::array();
  for (const Denied& denied : status.denied)
    json["denied"].push_back(
        {{"release", Id(denied.release)},
         {"time", Time(denied.time)},
         {"boots", denied.boots},
         {"reason", Text(denied.reason)},
         {"output", Text(view.OutputOf(denied))},
         {"post_mortem", Of(PostMortemOf(view.post_mortems, denied.release.commit, denied.time))}});
  json["known"] = status.known;
  json["traffic"] = Of(status.traffic);
  json["checked"] = Time(status.checked);
  json["selftest"] = status.selftest ? Of(*status.selftest) : Json();
  json["support"] = {
      {"preview", status.support.preview},
      {"ends", status.support.ends == UINT64_MAX ? Json() : Json(Time(status.support.ends))},
      {"over", view.Unsupported()}};
  json["rescue"] = {{"file", Text(status.rescue.file)},
                    {"version", Text(status.rescue.version)},
                    {"problem", Text(status.rescue.problem)}};
  json["problems"] = view.problems;
  return Print(json);
}

std::string CheckJson(const CheckView& view) {
  return Print(Of(view));
}

std::string PlanJson(const PlanView& view) {
  Json json = Of(view.check);
  json["plan"] = view.plan ? Of(*view.plan) : Json();
  json["failing"] = Json::array();
  if (view.plan)
    for (const CheckResult& check : view.plan->failing) json["failing"].push_back(Of(check));
  json["refused"] = view.Refused();
  json["network"] = nullptr;
  if (view.plan && view.plan->metering) {
    const Metering& metering = *view.plan->metering;
    json["network"] = {{"metered", metering.metered ? Json(*metering.metered) : Json()},
                       {"detail", metering.detail},
                       {"refused", view.NotNow()}};
  }
  json["tries"] = view.tries;
  json["rate_limit"] = view.rate_limit ? Json(view.rate_limit) : Json();
  json["health"] = {{"window_seconds", view.health.window.count()},
                    {"deadline_seconds", view.health.deadline.count()}};
  return Print(json);
}

std::string HealthJson(const HealthView& view) {
  Json json = Begin();
  json["healthy"] = view.Healthy();
  json["checks"] = Json::array();
  for (const CheckResult& check : view.checks) json["checks"].push_back(Of(check));
  return Print(json);
}

std::string HistoryJson(const HistoryView& view) {
  Json json = Begin();
  json["history"] = Json::array();
  for (const HistoryEntry& entry : view.history)
    json["history"].push_back(Of(entry, view.post_mortems));
  return Print(json);
}

std::string VerifyJson(const VerifyView& view) {
  Json json = Begin();
  json["slots"] = Json::array();
  for (const auto& [proof, running, empty] : view.slots)
    json["slots"].push_back({{"slot", Name(proof.slot)},
                             {"running", running},
                             {"empty", empty},
                             {"proven", proof.proven},
                             {"release", proof.release ? Full(*proof.release) : Json()},
                             {"problem", Text(proof.problem)}});
  json["rescue"] = nullptr;
  if (view.rescue)
    json["rescue"] = {{"file", view.rescue->file},
                      {"version", Text(view.rescue->version)},
                      {"release", Text(view.rescue->release)},
                      {"problem", Text(view.rescue->problem)}};
  json["boot"] = nullptr;
  if (view.boot) {
    json["boot"] = {{"problem", Text(view.boot->problem)}, {"unsigned", Json::array()}};
    for (const Unsigned& item : view.boot->unsigned_items)
      json["boot"]["unsigned"].push_back({{"what", item.what}, {"can", item.can}});
  }
  return Print(json);
}

}  // namespace hostos
