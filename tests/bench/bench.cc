// `dev bench`: the whole update of a node between two real releases, on files, compared with the
// public tools that do the same work. Everything is measured in this run, with warm caches on both
// sides.
#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>
#include <span>
#include <unordered_set>

#include "images/pack_release.h"
#include "tests/bench/delta_floor.h"
#include "tests/bench/large.h"
#include "tests/bench/tools.h"
#include "tests/mounted.h"
#include "tests/no_progress.h"
#include "tests/node/file_node.h"
#include "tests/source/http_server.h"
#include "tests/vm/release_set.h"

namespace hostos {
namespace {

using nlohmann::json;

constexpr int kRounds = 3;
constexpr double kWallGoal = 1.25, kPullGoal = 1.0, kMemoryGoal = 40;  // ratios, MiB
constexpr double kWireGoal = 15.5, kSameKernelWireGoal = 1.0;          // MB
constexpr size_t kRequestsGoal = 12;
constexpr double kWrittenGoal = 1.5;  // ratio

constexpr const char* kUsage = R"(usage: dev bench [--json] [--quick]

  --json   one JSON object on standard output
  --quick  without the 2 GB tree and the deltas by others, which take most of the time
)";

double Mib(uint64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}
double Mb(uint64_t bytes) {
  return static_cast<double>(bytes) / 1e6;
}
void Say(const std::string& line) {
  std::cerr << "bench: " << line << '\n';
}

struct Round {
  Cost ours;
  std::map<std::string, Cost> tools;
  uint64_t wire_bytes = 0;
  size_t requests = 0;

  double tools_wall() const {
    double sum = 0;
    for (const auto& [name, cost] : tools) sum += cost.wall;
    return sum;
  }
  double ratio() const { return ours.wall / tools_wall(); }
};

// Calls `see` with the digest of each block of the file's first `size` bytes.
Result<> ForEachBlock(const std::string& path, uint64_t size,
                      const std::function<void(const Digest&)>& see) {
  const UniqueFd file = TRY(Open(path, O_RDONLY));
  std::array<std::byte, 4096> block;
  for (uint64_t at = 0; at < size; at += block.size()) {
    if (TRY(ReadFull(file.get(), block)) < block.size()) break;
    see(Sha256::Of(block));
  }
  return {};
}

// The bytes of an image's blocks that another image has nowhere.
Result<uint64_t> LackingBytes(const std::string& image, uint64_t size, const std::string& held) {
  std::unordered_set<Digest> blocks;
  uint64_t lacking = 0;
  TRY(ForEachBlock(held, UINT64_MAX, [&](const Digest& block) { blocks.insert(block); }));
  TRY(ForEachBlock(image, size,
                   [&](const Digest& block) { lacking += blocks.contains(block) ? 0 : 4096; }));
  return lacking;
}

// Measures an update of a new node of files. Cost::said is what update_on_files printed.
Result<Cost> MeasureUpdate(const Releases& releases, const HttpServer& server) {
  const FileNode node(releases, server.url());
  const std::string log = node / "log";
  Cost cost = TRY(MeasureProgram(node.Update(), log));
  cost.said = json::parse(LastLines(log, 1), nullptr, false);
  if (cost.said.value("commit", "") != releases.to.Hex())
    return Fail(Code::kFailed, "expected an update to {}, found {}", releases.to.Hex(),
                cost.said.dump());
  if (!releases.held.empty())
    cost.said["slot_lacking_bytes"] =
        TRY(LackingBytes(node.machine().disk() + "4", cost.said["image_bytes"], releases.held));
  return cost;
}

// One update by HostOS, then, unless `alone`, the tools: each in a new directory, which is removed
// afterwards.
Result<Round> RunRound(const Releases& releases, const HttpServer& server, bool alone) {
  const size_t before = server.Requests().size();
  Round round;
  round.ours = TRY(MeasureUpdate(releases, server));
  const std::vector<HttpRequest> requests = server.Requests();
  for (const HttpRequest& request : std::span(requests).subspan(before))
    round.wire_bytes += request.bytes;
  round.requests = requests.size() - before;
  if (alone) return round;
  TempDir directory;
  round.tools = TRY(RunTools(releases, server.url(), directory.path()));
  return round;
}

json ToJson(const Cost& cost) {
  return {{"wall_seconds", cost.wall},
          {"cpu_seconds", cost.cpu},
          {"peak_rss_mib", Mib(cost.peak_rss)},
          {"written_bytes", cost.written}};
}

// The round with the median ratio, with the highest memory of all rounds.
Result<json> Compare(Releases releases, const std::string& image, const HttpServer& server,
                     int rounds) {
  TempDir directory;
  const Mounted root = TRY(Mounted::At(image, directory / "root", directory / "log"));
  releases.parent = root.path() + "/ostree/repo";
  const bool alone = rounds == 0;
  std::vector<Round> all;
  uint64_t peak = 0;
  // The first round warms the caches and is not counted.
  for (int i = alone ? 1 : 0; i <= std::max(rounds, 1); i++) {
    Round round = TRY(RunRound(releases, server, alone));
    Say(alone ? std::format("{:.1f} s", round.ours.wall)
              : std::format("{}: {:.1f} s, the tools {:.1f} s", i == 0 ? "warming up" : "measured",
                            round.ours.wall, round.tools_wall()));
    peak = std::max(peak, round.ours.peak_rss);
    if (i > 0) all.push_back(std::move(round));
  }
  std::ranges::sort(all, {}, &Round::ratio);
  const Round& middle = all[all.size() / 2];
  const uint64_t missing = TRY(MissingObjectBytes(releases, directory / "log"));

  json result = ToJson(middle.ours);
  result.update(middle.ours.said);
  result["peak_rss_mib"] = Mib(peak);
  result["wire_bytes"] = middle.wire_bytes;
  result["missing_object_bytes"] = missing;
  result["requests"] = middle.requests;
  if (alone) return result;
  result["wall_ratio"] = middle.ratio();
  result["wall_over_pull_and_dd"] = middle.ours.wall / (middle.tools.at("ostree pull").wall +
                                                        middle.tools.at("dd conv=fsync").wall);
  result["tools_wall_seconds"] = middle.tools_wall();
  for (const auto& [name, cost] : middle.tools) result["tools"][name] = ToJson(cost);
  return result;
}

// Makes the delta pack as a publisher does. Says what it cost.
Result<json> MakePack(const std::string& repo, const std::string& version,
                      const std::string& from) {
  // A process that is forked later starts with this one's memory, so this one must stay small.
  const auto make = [&]() -> Result<json> {
    NoProgress progress;
    const std::vector<MadePack> made = TRY(PackRelease(
        {.repo = repo, .architecture = "x86-64", .version = version, .from = {from}}, progress));
    return json{{"objects", made[0].built.objects}, {"bytes", made[0].built.bytes}};
  };
  const Cost cost = TRY(Measure(make));
  json pack = ToJson(cost);
  pack.update(cost.said);
  return pack;
}

Releases PairOf(const ReleaseSet& set, const Digest& from, const Digest& to) {
  return {.repo = set.directory() + "/repo",
          .keys = set.directory() + "/keys",
          .parent = "",
          .from = from,
          .to = to,
          .slot = {1024, 16}};
}

// What deltas of the same releases by others take.
Result<> AddDeltas(const ReleaseSet& set, const std::string& from, const std::string& to,
                   json& result) {
  Say(std::format("deltas from {} to {} by others", from, to));
  const TempDir directory;
  const Releases releases = PairOf(set, TRY(set.Get(from)).commit, TRY(set.Get(to)).commit);
  result["wire_delta_floor"] = TRY(DeltaFloor(releases));
  result["ostree_static_delta_bytes"] = TRY(StaticDeltaBytes(releases, directory.path()));
  return {};
}

// The update from one release of the set to another, with a delta pack as a publisher makes it.
Result<json> MeasurePair(const ReleaseSet& set, const std::string& from, const std::string& to,
                         int rounds, const std::string& held = "") {
  const MadeRelease first = TRY(set.Get(from)), second = TRY(set.Get(to));
  const TempDir packs;
  PublishedReleases published(set, packs.path());
  Say(std::format("the delta pack from {} to {}", from, to));
  const json pack = TRY(MakePack(published.directory(), to, from));
  TRY(published.Publish(to));
  Say(std::format("the update from {} to {}", from, to));
  Releases releases = PairOf(set, first.commit, second.commit);
  releases.held = held;
  json result = TRY(Compare(releases, std::format("{}/{}.erofs", set.directory(), from),
                            published.server(), rounds));
  result["pack"] = pack;
  return result;
}

Result<json> Measure(bool quick) {
  const ReleaseSet set = TRY(ReleaseSet::Open());
  json result = TRY(MeasurePair(set, "1.0.0", "1.1.0", kRounds));
  result["same_kernel"] = TRY(MeasurePair(set, "1.1.0", "1.3.0", 0));
  // What a node writes over the release before the running one, and how much of it that one lacks.
  const std::string old = set.directory() + "/1.0.0.erofs";
  result["chain"] = TRY(MeasurePair(set, "1.1.0", "1.2.0", 0, old));
  if (quick) return result;
  TRY(AddDeltas(set, "1.0.0", "1.1.0", result));
  TRY(AddDeltas(set, "1.1.0", "1.3.0", result["same_kernel"]));
  Say("making two releases of a 2 GB tree");
  TempDir directory;
  const std::string image = directory / "from.erofs";
  const Releases large = TRY(MakeLargeReleases(directory.path(), image));
  const HttpServer server(large.repo);
  Say("the update of the 2 GB tree");
  result["large"] = TRY(Compare(large, image, server, 0));
  return result;
}

void AddGoals(json& result) {
  json& goals = result["goals"];
  goals["wall_ratio"] = result["wall_ratio"] <= kWallGoal;
  goals["wall_over_pull_and_dd"] = result["wall_over_pull_and_dd"] <= kPullGoal;
  goals["wire_bytes"] = result["wire_bytes"].get<double>() <= kWireGoal * 1e6;
  const json& same = result["same_kernel"];
  goals["same_kernel_wire_bytes"] = same["wire_bytes"].get<double>() <= kSameKernelWireGoal * 1e6;
  goals["requests"] =
      std::max(result["requests"].get<size_t>(), same["requests"].get<size_t>()) <= kRequestsGoal;
  const json& chain = result["chain"];
  goals["slot_written_bytes"] = chain["slot_written_bytes"].get<double>() <=
                                kWrittenGoal * chain["slot_lacking_bytes"].get<double>();
  goals["peak_rss_mib"] = result["peak_rss_mib"] <= kMemoryGoal;
  if (result.contains("large"))
    goals["large_peak_rss_mib"] = result["large"]["peak_rss_mib"] <= kMemoryGoal;
}

void PrintRow(const std::string& name, double wall, double cpu, const std::string& rest) {
  std::cout << std::format("  {:<22}{:>8.2f}{:>8.2f}{}\n", name, wall, cpu, rest);
}

void PrintCost(const std::string& name, const json& cost) {
  PrintRow(name, cost["wall_seconds"], cost["cpu_seconds"],
           std::format("{:>10.1f}{:>12.1f}", cost["peak_rss_mib"].get<double>(),
                       Mb(cost["written_bytes"])));
}

void PrintGoal(const std::string& what, const std::string& found, bool met) {
  std::cout << std::format("  {:<50}{:>10}   {}\n", what, found, met ? "met" : "MISSED");
}

void PrintTable(const json& result) {
  std::cout << std::format(
                   "An update of a real node's files, {:.1f} MB image, warm, median of {}\n\n",
                   Mb(result["image_bytes"]), kRounds)
            << std::format("  {:<22}{:>8}{:>8}{:>10}{:>12}\n", "", "wall s", "cpu s", "peak MiB",
                           "written MB");
  for (const char* phase : {"resolve", "fetch", "write", "prove", "arm"}) {
    const json& cost = result["phases"][phase];
    PrintRow(phase, cost["wall"], cost["cpu"], "");
  }
  PrintCost("hostctl update", result);
  std::cout << "\n";
  for (const auto& [name, cost] : result["tools"].items()) PrintCost(name, cost);
  std::cout << std::format("  {:<22}{:>8.2f}\n", "the tools together",
                           result["tools_wall_seconds"].get<double>());
  std::cout << std::format(
      "\n  on the wire: {:.2f} MB in {} requests; missing objects: {:.2f} MB\n",
      Mb(result["wire_bytes"]), result["requests"].get<int>(), Mb(result["missing_object_bytes"]));
  const json& pack = result["pack"];
  std::cout << std::format(
      "  its delta pack: {} objects, {:.2f} MB; made in {:.0f} s, {:.0f} MiB\n",
      pack["objects"].get<uint64_t>(), Mb(pack["bytes"]), pack["wall_seconds"].get<double>(),
      pack["peak_rss_mib"].get<double>());
  const json& chain = result["chain"];
  std::cout << std::format(
      "  a third release over the first: {:.1f} MB of {:.1f} are written, {:.1f} were not there\n",
      Mb(chain["slot_written_bytes"]), Mb(chain["image_bytes"]), Mb(chain["slot_lacking_bytes"]));
  if (result.contains("wire_delta_floor"))
    std::cout << std::format(
        "  by others: zstd --patch-from of each file {:.2f} MB, OSTree's static delta {:.2f} MB\n",
        Mb(result["wire_delta_floor"]), Mb(result["ostree_static_delta_bytes"]));
  if (result.contains("large")) {
    const json& large = result["large"];
    std::cout << std::format("  a tree of {:.2f} GB: {:.1f} s, peak {:.1f} MiB\n",
                             Mb(large["image_bytes"]) / 1000, large["wall_seconds"].get<double>(),
                             large["peak_rss_mib"].get<double>());
  }
  std::cout << "\n";
  const json& goals = result["goals"];
  PrintGoal(std::format("wall time over the tools' sum, at most {}", kWallGoal),
            std::format("{:.2f}", result["wall_ratio"].get<double>()), goals["wall_ratio"]);
  PrintGoal(std::format("wall time over pull and dd alone, at most {}", kPullGoal),
            std::format("{:.2f}", result["wall_over_pull_and_dd"].get<double>()),
            goals["wall_over_pull_and_dd"]);
  PrintGoal(std::format("on the wire, at most {} MB", kWireGoal),
            std::format("{:.2f} MB", Mb(result["wire_bytes"])), goals["wire_bytes"]);
  const json& same = result["same_kernel"];
  PrintGoal(std::format("the same with the same kernel, at most {} MB", kSameKernelWireGoal),
            std::format("{:.2f} MB", Mb(same["wire_bytes"])), goals["same_kernel_wire_bytes"]);
  PrintGoal(std::format("requests, at most {}", kRequestsGoal),
            std::format("{}, {}", result["requests"].get<int>(), same["requests"].get<int>()),
            goals["requests"]);
  PrintGoal(std::format("written over what was not in the slot, at most {}", kWrittenGoal),
            std::format("{:.2f}", chain["slot_written_bytes"].get<double>() /
                                      chain["slot_lacking_bytes"].get<double>()),
            goals["slot_written_bytes"]);
  PrintGoal(std::format("peak resident memory, at most {} MiB", kMemoryGoal),
            std::format("{:.1f} MiB", result["peak_rss_mib"].get<double>()), goals["peak_rss_mib"]);
  if (goals.contains("large_peak_rss_mib"))
    PrintGoal("the same on the 2 GB tree",
              std::format("{:.1f} MiB", result["large"]["peak_rss_mib"].get<double>()),
              goals["large_peak_rss_mib"]);
}

int Main(std::span<char* const> arguments) {
  bool as_json = false, quick = false;
  for (const std::string_view argument : arguments) {
    if (argument == "--json") {
      as_json = true;
    } else if (argument == "--quick") {
      quick = true;
    } else {
      const bool help = argument == "--help" || argument == "-h";
      (help ? std::cout : std::cerr) << kUsage;
      return help ? 0 : 2;
    }
  }
  Result<json> result = Measure(quick);
  if (!result) {
    Say("failed: " + result.error().message);
    return 1;
  }
  AddGoals(*result);
  if (as_json)
    std::cout << result->dump(2) << "\n";
  else
    PrintTable(*result);
  return 0;
}

}  // namespace
}  // namespace hostos

int main(int argc, char** argv) {
  return hostos::Main({argv + 1, static_cast<size_t>(argc - 1)});
}
