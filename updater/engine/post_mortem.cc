#include "updater/engine/post_mortem.h"

#include <algorithm>
#include <filesystem>

#include "updater/base/atomic_file.h"
#include "updater/engine/record_json.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kFileLimit = 1 << 20;
constexpr const char* kProbation = "probation";

std::string Directory(const World& world) {
  return world.state.path() + "/failures";
}

// One file per try of a release. The names sort by time.
std::string FileOf(const World& world, const PostMortem& post_mortem) {
  return std::format("{}/{:012}-{}.json", Directory(world), post_mortem.started,
                     post_mortem.release.commit.Hex().substr(0, 16));
}

std::vector<std::string> Files(const World& world, std::string_view extension = ".json") {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::directory_iterator it(Directory(world), error), end; !error && it != end;
       it.increment(error))
    if (it->path().extension() == extension) files.push_back(it->path());
  std::ranges::sort(files);
  return files;
}

Result<> Save(World& world, const PostMortem& post_mortem) {
  TRY(MakeDirectories(Directory(world), 0700));
  // A save that was cut short leaves a file with a name of its own.
  for (const std::string& file : Files(world, ".tmp")) TRY(RemoveFileDurably(file));
  TRY(WriteFileAtomically(FileOf(world, post_mortem), ToJson(post_mortem), 0600));
  std::vector<std::string> files = Files(world);
  for (size_t i = 0; i + PostMortem::kLimit < files.size(); i++) TRY(RemoveFileDurably(files[i]));
  return {};
}

Result<PostMortem> Load(const std::string& file) {
  const std::string text = TRY(ReadFile(file, kFileLimit));
  return TRY_CONTEXT(file, PostMortemFromJson(text));
}

PostMortem Of(const UpdateRecord& update) {
  return {.release = update.target,
          .slot = update.slot,
          .from = update.from.version,
          .started = update.started};
}

// "early boot": as far as is known, nothing of HostOS ran.
std::string PhaseOf(const PostMortem& post_mortem, const UpdateRecord& update) {
  if (!update.attempts.empty()) return "health gate";
  return post_mortem.traces.empty() ? "early boot" : "boot";
}

std::string CauseOf(const PostMortem& post_mortem) {
  if (post_mortem.phase == kProbation) return "none: it was running when it went bad";
  if (!post_mortem.check.empty()) return "the health gate rebooted it";
  if (const size_t panic = post_mortem.kernel.find("Kernel panic"); panic != std::string::npos)
    return post_mortem.kernel.substr(panic, post_mortem.kernel.find('\n', panic) - panic);
  if (post_mortem.watchdog) return "the hardware watchdog reset the machine";
  if (post_mortem.traces.empty()) return "not known: its boots left nothing in the journal";
  if (std::ranges::all_of(post_mortem.traces, &BootTrace::in_order)) return "it was shut down";
  return "cut off: power, the reset button, or a crash that left no trace";
}

void TakeVerdict(PostMortem& post_mortem, const Verdict& verdict) {
  if (const CheckResult* failing = FirstFailing(verdict.checks)) post_mortem.check = failing->name;
  post_mortem.checks = verdict.checks;
}

// Copies how it ended from the history entry.
void TakeEntry(PostMortem& post_mortem, const HistoryEntry& entry) {
  post_mortem.cause = CauseOf(post_mortem);
  post_mortem.time = entry.time;
  post_mortem.boots = entry.boots;
  post_mortem.reason = entry.reason;
  post_mortem.output = entry.output;
}

json Write(const CheckResult& check) {
  return {{"name", check.name},
          {"required", check.required},
          {"ok", check.ok},
          {"detail", check.detail},
          {"output", check.output},
          {"milliseconds", static_cast<uint64_t>(check.took.count())},
          {"before", check.failed_before},
          {"environment", check.environment},
          {"parts", check.parts}};
}

CheckResult ReadCheck(JsonReader reader) {
  return {.name = reader.String("name"),
          .required = reader.Flag("required"),
          .ok = reader.Flag("ok"),
          .detail = reader.String("detail"),
          .output = reader.String("output"),
          .took = Milliseconds(reader.Number("milliseconds")),
          .environment = reader.Flag("environment"),
          .failed_before = reader.Flag("before"),
          // Earlier versions did not write it.
          .parts = reader.Has("parts") ? reader.Strings("parts") : std::vector<std::string>()};
}

json Write(const BootTrace& trace) {
  return {{"boot_id", trace.boot_id},
          {"begun", trace.begun},
          {"ended", trace.ended},
          {"in_order", trace.in_order},
          {"log", trace.log}};
}

BootTrace ReadTrace(JsonReader reader) {
  return {reader.String("boot_id"), reader.Number("begun"), reader.Number("ended"),
          reader.Flag("in_order"), reader.String("log")};
}

}  // namespace

std::string ToJson(const PostMortem& post_mortem) {
  json out = {{"format", PostMortem::kFormat},  {"release", Write(post_mortem.release)},
              {"slot", Name(post_mortem.slot)}, {"from", post_mortem.from},
              {"started", post_mortem.started}, {"time", post_mortem.time},
              {"boots", post_mortem.boots},     {"phase", post_mortem.phase},
              {"check", post_mortem.check},     {"reason", post_mortem.reason},
              {"output", post_mortem.output},   {"cause", post_mortem.cause},
              {"kernel", post_mortem.kernel},   {"watchdog", post_mortem.watchdog},
              {"checks", json::array()},        {"traces", json::array()}};
  for (const CheckResult& check : post_mortem.checks) out["checks"].push_back(Write(check));
  for (const BootTrace& trace : post_mortem.traces) out["traces"].push_back(Write(trace));
  return out.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<PostMortem> PostMortemFromJson(std::string_view text) {
  return ReadDocument<PostMortem>(text, [](JsonReader& reader) {
    PostMortem post_mortem;
    post_mortem.release = ReadId(reader.Object("release"));
    post_mortem.slot = reader.Choice<Slot>("slot", kSlotNames);
    post_mortem.from = reader.String("from");
    post_mortem.started = reader.Number("started");
    post_mortem.time = reader.Number("time");
    post_mortem.boots = static_cast<uint32_t>(reader.Number("boots"));
    post_mortem.phase = reader.String("phase");
    post_mortem.check = reader.String("check");
    post_mortem.reason = reader.String("reason");
    post_mortem.output = reader.String("output");
    post_mortem.cause = reader.String("cause");
    post_mortem.kernel = reader.String("kernel");
    post_mortem.watchdog = reader.Flag("watchdog");
    post_mortem.checks = reader.Array("checks", ReadCheck);
    post_mortem.traces = reader.Array("traces", ReadTrace);
    return post_mortem;
  });
}

Result<> BeginPostMortem(World& world, const UpdateRecord& update, const Verdict& verdict) {
  PostMortem post_mortem = Of(update);
  post_mortem.phase = PhaseOf(post_mortem, update);
  post_mortem.reason = update.failure;
  post_mortem.output = update.failure_output;
  TakeVerdict(post_mortem, verdict);
  return Save(world, post_mortem);
}

Result<> PostMortemOfProbation(World& world, const HistoryEntry& entry, uint64_t began,
                               const Verdict& verdict) {
  PostMortem post_mortem{.release = entry.release,
                         .slot = entry.slot,
                         .from = entry.from,
                         .started = began,
                         .phase = kProbation};
  TakeVerdict(post_mortem, verdict);
  post_mortem.traces = world.black_box.Boots(entry.release.root_hash, began);
  TakeEntry(post_mortem, entry);
  return Save(world, post_mortem);
}

Result<PostMortem> FinishPostMortem(World& world, const UpdateRecord& update,
                                    const HistoryEntry& entry, bool booted_last) {
  PostMortem post_mortem = Load(FileOf(world, Of(update))).value_or(Of(update));
  post_mortem.traces = world.black_box.Boots(update.target.root_hash, update.started);
  if (booted_last) {
    post_mortem.kernel = world.black_box.KernelDump(update.started);
    post_mortem.watchdog = world.black_box.WatchdogFired();
  }
  post_mortem.phase = PhaseOf(post_mortem, update);
  TakeEntry(post_mortem, entry);
  TRY(Save(world, post_mortem));
  return post_mortem;
}

std::vector<PostMortem> ReadPostMortems(const World& world, std::vector<std::string>* problems) {
  std::vector<PostMortem> post_mortems;
  for (const std::string& file : Files(world)) {
    Result<PostMortem> read = Load(file);
    if (read)
      post_mortems.push_back(*std::move(read));
    else if (problems && read.error().code == Code::kFailed)
      problems->push_back(read.error().message);
  }
  return post_mortems;
}

}  // namespace hostos
