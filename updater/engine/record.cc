#include "updater/engine/record.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"
#include "updater/engine/record_json.h"

namespace hostos {
namespace {

using nlohmann::json;

constexpr size_t kFileCap = 4 << 20;

constexpr std::array<const char*, 6> kPhaseNames = {"fetch", "write", "prove",
                                                    "arm",   "armed", "trial"};
constexpr std::array<const char*, 4> kOutcomeNames = {"committed", "fell-back", "rolled-back",
                                                      "degraded"};
constexpr std::array<const char*, 3> kSelfTestNames = {"running", "passed", "failed"};

struct Transition {
  Phase phase;
  Event event;
  Phase next;
};

// The life of an update from its resolution to its end.
constexpr Transition kTransitions[] = {
    {Phase::kFetch, Event::kFetched, Phase::kWrite},
    {Phase::kWrite, Event::kWritten, Phase::kProve},
    {Phase::kProve, Event::kProven, Phase::kArm},
    {Phase::kArm, Event::kArmed, Phase::kArmed},
    {Phase::kArmed, Event::kBooted, Phase::kTrial},
    {Phase::kTrial, Event::kBooted, Phase::kTrial},
    // The power went between the rename that armed it and the record of it.
    {Phase::kArm, Event::kBooted, Phase::kTrial},
};

json Write(const std::optional<Traffic>& traffic) {
  if (!traffic) return nullptr;
  return {{"bytes", traffic->bytes},
          {"requests", traffic->requests},
          {"pack_bytes", traffic->pack_bytes},
          {"pack_requests", traffic->pack_requests}};
}

Traffic ReadTraffic(JsonReader reader) {
  return {reader.Number("bytes"), reader.Number("requests"), reader.Number("pack_bytes"),
          reader.Number("pack_requests")};
}

json Write(const UpdateRecord& update) {
  json attempts = json::array();
  for (const Attempt& attempt : update.attempts)
    attempts.push_back({{"boot_id", attempt.boot_id}, {"time", attempt.time}});
  return {{"phase", Name(update.phase)},
          {"target", Write(update.target)},
          {"slot", Name(update.slot)},
          {"from", Write(update.from)},
          {"timestamp", update.timestamp},
          {"index", update.index},
          {"started", update.started},
          {"armed_boot_id", update.armed_boot_id},
          {"attempts", attempts},
          {"before", update.failed_before},
          {"recount", update.was_good},
          {"failure", update.failure},
          {"failure_output", update.failure_output},
          {"traffic", Write(update.traffic)}};
}

UpdateRecord ReadUpdate(JsonReader reader) {
  UpdateRecord update;
  reader.Need("phase");
  reader.Need("slot");
  update.phase = reader.Choice<Phase>("phase", kPhaseNames);
  update.target = ReadId(reader.Object("target"));
  update.slot = reader.Choice<Slot>("slot", kSlotNames);
  update.from = ReadId(reader.Object("from"));
  update.timestamp = reader.Number("timestamp");
  update.index = reader.Number("index");
  update.started = reader.Number("started");
  update.armed_boot_id = reader.String("armed_boot_id");
  update.attempts = reader.Array("attempts", [](JsonReader item) {
    return Attempt{item.String("boot_id"), item.Number("time")};
  });
  update.failed_before = reader.Strings("before");
  update.was_good = reader.Flag("recount");
  update.failure = reader.String("failure");
  update.failure_output = reader.String("failure_output");
  update.traffic = reader.Part("traffic", ReadTraffic);
  return update;
}

json Write(const HistoryEntry& entry) {
  return {{"outcome", Name(entry.outcome)},  {"time", entry.time},
          {"release", Write(entry.release)}, {"from", entry.from},
          {"slot", Name(entry.slot)},        {"boots", entry.boots},
          {"reason", entry.reason},          {"output", entry.output},
          {"traffic", Write(entry.traffic)}};
}

HistoryEntry ReadHistory(JsonReader reader) {
  HistoryEntry entry;
  reader.Need("outcome");
  entry.outcome = reader.Choice<Outcome>("outcome", kOutcomeNames);
  entry.time = reader.Number("time");
  entry.release = ReadId(reader.Object("release"));
  entry.from = reader.String("from");
  entry.slot = reader.Choice<Slot>("slot", kSlotNames);
  entry.boots = static_cast<uint32_t>(reader.Number("boots"));
  entry.reason = reader.String("reason");
  entry.output = reader.String("output");
  entry.traffic = reader.Part("traffic", ReadTraffic);
  return entry;
}

json Write(const SelfTest& test) {
  return {{"state", Name(test.state)}, {"version", test.version}, {"time", test.time},
          {"boot_id", test.boot_id},   {"boots", test.boots},     {"reason", test.reason}};
}

SelfTest ReadSelfTest(JsonReader reader) {
  SelfTest test;
  reader.Need("state");
  test.state = reader.Choice<SelfTestState>("state", kSelfTestNames);
  test.version = reader.String("version");
  test.time = reader.Number("time");
  test.boot_id = reader.String("boot_id");
  test.boots = static_cast<uint32_t>(reader.Number("boots"));
  test.reason = reader.String("reason");
  return test;
}

json Write(const SignatureRule& rule) {
  return {{"policy", kPolicyNames[static_cast<size_t>(rule.policy)]}, {"required", rule.required}};
}

SignatureRule ReadRule(JsonReader reader) {
  constexpr uint64_t kMost = 16;  // as in the configuration
  reader.Need("policy");
  const auto policy = reader.Choice<SignaturePolicy>("policy", kPolicyNames);
  return {policy, static_cast<uint32_t>(std::clamp<uint64_t>(reader.Number("required"), 1, kMost))};
}

json Write(const Denied& denied) {
  return {{"release", Write(denied.release)},
          {"time", denied.time},
          {"reason", denied.reason},
          {"boots", denied.boots}};
}

Denied ReadDenied(JsonReader reader) {
  return {ReadId(reader.Object("release")), reader.Number("time"), reader.String("reason"),
          static_cast<uint32_t>(reader.Number("boots"))};
}

}  // namespace

const char* Name(Phase phase) {
  return kPhaseNames[static_cast<size_t>(phase)];
}
const char* Name(Outcome outcome) {
  return kOutcomeNames[static_cast<size_t>(outcome)];
}
const char* Name(SelfTestState state) {
  return kSelfTestNames[static_cast<size_t>(state)];
}

Result<Phase> NextPhase(Phase phase, Event event) {
  for (const Transition& row : kTransitions)
    if (row.phase == phase && row.event == event) return row.next;
  return Fail(Code::kFailed, "update: event {} cannot happen in phase \"{}\"",
              static_cast<int>(event), Name(phase));
}

const Denied* Record::FindDenied(const Digest& commit, const Digest& root_hash) const {
  auto found =
      std::ranges::find_if(denied, [&](const Denied& d) { return d.Is(commit, root_hash); });
  return found == denied.end() ? nullptr : &*found;
}

void Record::GiveUp(HistoryEntry entry) {
  Allow(entry.release);
  denied.push_back({entry.release, entry.time, entry.reason, entry.boots});
  AddHistory(std::move(entry));
}

void Record::Explain(const std::string& cause) {
  history.back().reason += "; " + cause;
  denied.back().reason = history.back().reason;
}

void Record::Allow(const ReleaseId& release) {
  std::erase_if(denied, [&](const Denied& d) { return d.Is(release.commit, release.root_hash); });
}

void Record::AddHistory(HistoryEntry entry) {
  if (history.size() >= kHistoryLimit) history.erase(history.begin());
  history.push_back(std::move(entry));
}

std::string ToJson(const Record& record) {
  json out = {{"format", Record::kFormat},
              {"floor", record.time_floor},
              {"index", record.index_floor},
              {"checked", record.checked},
              {"known", record.known}};
  if (record.update) out["update"] = Write(*record.update);
  if (record.selftest) out["selftest"] = Write(*record.selftest);
  if (record.signatures) out["signatures"] = Write(*record.signatures);
  out["history"] = json::array();
  for (const HistoryEntry& entry : record.history) out["history"].push_back(Write(entry));
  out["denied"] = json::array();
  for (const Denied& denied : record.denied) out["denied"].push_back(Write(denied));
  // The output of a check may be any bytes; the record stays valid UTF-8.
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<Record> RecordFromJson(std::string_view text) {
  const auto read = [](JsonReader& reader) {
    Record record;
    record.time_floor = reader.Number("floor");
    record.index_floor = reader.Number("index");
    record.checked = reader.Number("checked");
    record.known = reader.Strings("known");
    record.update = reader.Part("update", ReadUpdate);
    record.update_lost = reader.Has("update") && !record.update;
    record.selftest = reader.Part("selftest", ReadSelfTest);
    record.signatures = reader.Part("signatures", ReadRule);
    record.history = reader.Array("history", ReadHistory);
    record.denied = reader.Array("denied", ReadDenied);
    return record;
  };
  return ReadDocument<Record>(text, read, Newer::kPartly);
}

Record SalvageRecord(std::string_view text) {
  json whole = json::object();
  std::string list;
  // Takes each item as it ends: whatever comes after it may be damaged or missing.
  const auto note = [&](int depth, json::parse_event_t event, const json& parsed) {
    if (event == json::parse_event_t::key && depth == 1) list = parsed.get<std::string>();
    if (event == json::parse_event_t::object_end && depth == 2) whole[list].push_back(parsed);
    return true;
  };
  [[maybe_unused]] const json all = json::parse(text, note, /*allow_exceptions=*/false);
  Reading reading;
  JsonReader reader(whole, "", reading);
  Record record;
  record.history = reader.Array("history", ReadHistory);
  record.denied = reader.Array("denied", ReadDenied);
  record.update_lost = true;
  return record;
}

Result<Record> RecordFile::Load() const {
  Result<std::string> text = ReadFile(path_, kFileCap);
  if (!text && text.error().code == Code::kNotFound) return Record{.update_lost = true};
  std::string content = TRY(std::move(text));
  return TRY_CONTEXT(path_, RecordFromJson(content));
}

Record RecordFile::LoadOrSalvage() const {
  Result<Record> record = Load();
  return record ? *std::move(record) : Salvage();
}

Record RecordFile::Salvage() const {
  return SalvageRecord(ReadFile(path_, kFileCap).value_or(""));
}

Result<> RecordFile::SetAside() const {
  const std::string aside = path_ + ".unreadable";
  std::error_code error;
  std::filesystem::remove_all(aside, error);
  // A link leaves the file in place until there is a new one. What cannot be linked, like a
  // directory, is renamed.
  if (::link(path_.c_str(), aside.c_str()) < 0 && ::rename(path_.c_str(), aside.c_str()) < 0)
    return FailErrno(aside);
  return SyncDirectory(path_.substr(0, path_.rfind('/')));
}

Result<> RecordFile::Save(const Record& record) const {
  return WriteFileAtomically(path_, ToJson(record), 0644);
}

}  // namespace hostos
