#include "images/disk.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "bootctl/entry_name.h"
#include "images/program.h"
#include "images/reseal.h"
#include "images/uki.h"
#include "images/work_directory.h"
#include "updater/base/atomic_file.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// The order in which a node finds its slots: by number, the first root partition is slot A.
struct Place {
  const char* definition;
  const char* type;
};
constexpr Place kLayout[] = {
    {"10-esp", "esp"},
    {"20-root-a", "root"},
    {"21-root-a-verity", "root-verity"},
    {"30-root-b", "root"},
    {"31-root-b-verity", "root-verity"},
    {"40-state", "var"},
};
enum { kEsp, kRootA, kVerityA, kRootB, kVerityB, kState };

// No menu to stop at, no way to edit the command line of a machine nobody watches.
constexpr std::string_view kLoaderConfiguration = "timeout 0\neditor no\n";

// FAT knows no time before 1980.
constexpr uint64_t kFirstFatTime = 315532800;

std::string Uuid(std::span<const uint8_t, 16> bytes) {
  std::string text = Hex(bytes);
  for (size_t at : {20, 16, 12, 8}) text.insert(at, 1, '-');
  return text;
}

std::string FirstUuid(const Digest& digest) {
  return Uuid(std::span(digest.bytes).first<16>());
}
std::string LastUuid(const Digest& digest) {
  return Uuid(std::span(digest.bytes).last<16>());
}

Result<> CopyFile(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::copy_file(from, to, error);
  if (error) return FailErrno(std::format("copy {} to {}", from, to), error.value());
  return {};
}

// The ESP's content, beside the UKI: systemd-boot where firmware looks, and where `bootctl` does.
Result<> FillEsp(const std::string& esp, const Release& release) {
  const std::string efi = TRY(EfiArchitecture(release.architecture));
  const std::string loader = std::format("{}systemd-boot{}.efi", kEfiPrograms, efi);
  std::string fallback = "BOOT" + efi + ".EFI";
  std::ranges::transform(fallback, fallback.begin(), [](unsigned char c) { return ::toupper(c); });
  for (const char* directory : {"/EFI/BOOT", "/EFI/systemd", "/EFI/Linux", "/loader"})
    TRY(MakeDirectories(esp + directory));
  TRY(CopyFile(loader, esp + "/EFI/BOOT/" + fallback));
  TRY(CopyFile(loader, std::format("{}/EFI/systemd/systemd-boot{}.efi", esp, efi)));
  return WriteFileAtomically(esp + "/loader/loader.conf", kLoaderConfiguration);
}

// What a node keeps beside its record, so that it can verify the release it was installed with.
Result<> FillState(const std::string& state, const SignedRelease& release) {
  const std::string commits = state + "/lib/hostos/commits";
  const std::string name = commits + "/" + release.commit.release.commit.Hex();
  TRY(MakeDirectories(commits));
  TRY(WriteFileAtomically(name + ".commit", release.bytes));
  return WriteFileAtomically(name + ".commitmeta", release.detached);
}

// Gives everything below `path` one time, which the file systems made of it then carry.
Result<> SetTimes(const std::string& path, uint64_t seconds) {
  const timespec time = {.tv_sec = static_cast<time_t>(std::max(seconds, kFirstFatTime)),
                         .tv_nsec = 0};
  const timespec times[2] = {time, time};
  std::vector<std::string> paths = {path};
  std::error_code error;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path, error))
    paths.push_back(entry.path());
  if (error) return FailErrno(path, error.value());
  for (const std::string& each : paths)
    if (::utimensat(AT_FDCWD, each.c_str(), times, AT_SYMLINK_NOFOLLOW) < 0) return FailErrno(each);
  return {};
}

// Drop-ins: what this release and this command line say about the partitions.
Result<> WriteDropIns(const std::string& directory, const Release& release,
                      const DiskOptions& options) {
  std::string text[std::size(kLayout)];
  auto release_of = [&](int place, const std::string& uuid) {
    text[place] += std::format("Label=hostos_{}\nUUID={}\n", release.version, uuid);
  };
  auto size = [&](std::initializer_list<int> places, std::optional<uint64_t> bytes) {
    for (int place : places)
      if (bytes) text[place] += std::format("SizeMinBytes={0}\nSizeMaxBytes={0}\n", *bytes);
  };
  release_of(kRootA, FirstUuid(release.root_hash));
  release_of(kVerityA, LastUuid(release.root_hash));
  size({kEsp}, options.esp_size);
  size({kRootA, kRootB}, options.slot_size);
  size({kVerityA, kVerityB}, options.verity_size);
  size({kState}, options.state_size);
  for (size_t i = 0; i < std::size(kLayout); i++) {
    const std::string drop_in = std::format("{}/{}.conf.d", directory, kLayout[i].definition);
    TRY(MakeDirectories(drop_in));
    TRY(WriteFileAtomically(drop_in + "/release.conf", "[Partition]\n" + text[i]));
  }
  return {};
}

Result<std::vector<Partition>> ParsePartitions(const std::string& json) {
  const nlohmann::json parsed = nlohmann::json::parse(json, nullptr, false);
  std::vector<Partition> partitions;
  if (!parsed.is_array()) return Fail(Code::kFailed, "systemd-repart: no JSON array: {}", json);
  for (const nlohmann::json& entry : parsed) {
    const bool complete = entry.is_object() && entry.contains("raw_size") &&
                          entry["raw_size"].is_number_unsigned() && entry.contains("offset") &&
                          entry["offset"].is_number_unsigned();
    if (!complete) return Fail(Code::kFailed, "systemd-repart: no partition: {}", entry.dump());
    partitions.push_back({.label = entry.value("label", ""),
                          .type = entry.value("type", ""),
                          .uuid = entry.value("uuid", ""),
                          .offset = entry["offset"],
                          .size = entry["raw_size"]});
  }
  return partitions;
}

// A definition of one's own may say anything: the node must still find its slots in the result.
Result<> CheckLayout(const std::vector<Partition>& partitions, const Release& release,
                     const std::string& definitions) {
  std::string expected, found;
  for (const Place& place : kLayout) {
    const std::string_view type = place.type;
    expected += std::format(" {}", type);
    if (type.starts_with("root"))
      expected.insert(expected.rfind(" root") + 5, "-" + release.architecture);
  }
  for (const Partition& partition : partitions) found += " " + partition.type;
  if (expected != found)
    return Fail(Code::kFailed, "{}: expected partitions of the types{}, found{}", definitions,
                expected, found);
  for (auto [a, b] : {std::pair(kRootA, kRootB), std::pair(kVerityA, kVerityB)})
    if (partitions[a].size != partitions[b].size)
      return Fail(Code::kNoSpace,
                  "{}: release {} needs {} bytes in slot A ({}), slot B has {}: both slots must be "
                  "as large; use --slot-size or --verity-size",
                  definitions, release.version, partitions[a].size, partitions[a].type,
                  partitions[b].size);
  return {};
}

Result<std::vector<Partition>> RunRepart(const WorkDirectory& work, const SignedRelease& release,
                                         const std::string& definitions,
                                         const std::string& output) {
  const Release& facts = release.commit.release;
  const std::string seed = FirstUuid(facts.commit);
  // mkfs.ext4 draws its directory hash seed at random unless told; it takes only its last -E, so
  // what systemd-repart passes itself is repeated.
  const std::string json = TRY(RunProgram(
      {"systemd-repart", "--root=" + work / "content", "--definitions=" + definitions,
       "--definitions=" + work / "drop-ins", "--architecture=" + facts.architecture,
       "--empty=create", "--offline=yes", "--size=auto", "--seed=" + seed, "--dry-run=no",
       "--json=short", output},
      {"TMPDIR=" + work.path(), std::format("SOURCE_DATE_EPOCH={}", facts.timestamp),
       "SYSTEMD_REPART_MKFS_OPTIONS_EXT4=-E lazy_itable_init=1,nodiscard,hash_seed=" + seed}));
  std::vector<Partition> partitions = TRY(ParsePartitions(json));
  TRY(CheckLayout(partitions, facts, definitions));
  return partitions;
}

}  // namespace

Result<Disk> MakeDisk(const ReleaseQuery& query, const DiskOptions& options, Progress& progress) {
  std::error_code error;
  const std::string definitions = fs::absolute(options.definitions, error);
  const SignedRelease release = TRY(OpenSignedRelease(query));
  const Release& facts = release.commit.release;
  const WorkDirectory work = TRY(WorkDirectory::Beside(options.output));

  const std::string esp = work / "content/esp", state = work / "content/state";
  TRY(MakeDirectories(esp));
  TRY(MakeDirectories(state));
  TRY(FillEsp(esp, facts));
  TRY(FillState(state, release));
  // Blessed from the start: there is nothing to fall back to.
  const std::string entry =
      std::format("{}/EFI/Linux/{}", esp,
                  FormatEntryName(ReleaseStem(facts.version, facts.root_hash), std::nullopt));
  TRY(Reseal(release, work / "content/root.erofs", work / "content/root.verity", entry, progress));
  TRY(SetTimes(esp, facts.timestamp));
  TRY(SetTimes(state, facts.timestamp));

  progress.Begin("disk", options.output);
  TRY(WriteDropIns(work / "drop-ins", facts, options));
  std::string image = work / "disk.raw";
  std::vector<Partition> partitions = TRY(RunRepart(work, release, definitions, image));
  if (options.format == DiskFormat::kQcow2) {
    TRY(RunProgram(
        {"qemu-img", "convert", "-f", "raw", "-O", "qcow2", image, work / "disk.qcow2"}));
    image = work / "disk.qcow2";
  }
  TRY(PublishFile(image, options.output));
  return Disk{facts, std::move(partitions)};
}

}  // namespace hostos
