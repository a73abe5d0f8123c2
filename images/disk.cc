#include "images/disk.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "bootctl/entry_name.h"
#include "bootctl/gpt.h"
#include "bootctl/uki.h"
#include "images/commit_release.h"
#include "images/program.h"
#include "images/reseal.h"
#include "images/uki.h"
#include "images/work_directory.h"
#include "updater/base/atomic_file.h"
#include "updater/base/clock.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// The definitions that drop-ins change. A node finds its slots by the order of the partitions,
// which is the order of these names.
constexpr const char* kDefinitions[] = {"10-esp",    "20-root-a",        "21-root-a-verity",
                                        "30-root-b", "31-root-b-verity", "40-state"};
enum { kEsp, kRootA, kVerityA, kRootB, kVerityB, kState };

// No menu and no editor: nobody may stop the boot or edit the command line of an unattended
// machine.
constexpr std::string_view kLoaderConfiguration = "timeout 0\neditor no\n";

// As in the definitions. rootfs mounts the state partition by this name.
constexpr std::string_view kEmptyLabel = "_empty", kStateLabel = "hostos-state";

// Firmware takes a FAT with fewer clusters for FAT16. In sectors; includes the FATs themselves.
constexpr uint64_t kLeastFat32 = 65525 + 1100;

// FAT cannot express a time before 1980.
constexpr uint64_t kFirstFatTime = 315532800;

Result<> CopyFile(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::copy_file(from, to, error);
  if (error) return FailErrno(std::format("copy {} to {}", from, to), error.value());
  return {};
}

// Fills the ESP, except for the UKI: puts systemd-boot where firmware looks, and where `bootctl`
// looks.
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

// Where systemd's EFI stub takes them from. It takes only encrypted ones; the null key is a
// constant that everybody knows.
Result<> AddCredentials(const std::string& esp, const Credentials& credentials,
                        const WorkDirectory& work) {
  if (credentials.empty()) return {};
  TRY(MakeDirectories(esp + "/loader/credentials"));
  for (const auto& [name, content] : credentials) {
    const std::string plain = work / "credential";  // in a directory of mode 0700
    TRY(WriteFileAtomically(plain, content, 0600));
    TRY(RunProgram({"systemd-creds", "encrypt", "--with-key=null", "--name=" + name, plain,
                    std::format("{}/loader/credentials/{}.cred", esp, name)}));
  }
  return {};
}

// Names the rescue by its own bytes, as a node does.
Result<> AddRescue(const std::string& esp, const std::string& rescue,
                   std::string_view architecture) {
  const UniqueFd file = TRY(Open(rescue, O_RDONLY));
  TRY_CONTEXT(rescue, ReadRescueUki(file.get(), architecture));
  const std::string temporary = esp + "/EFI/Linux/rescue";
  const Copied copied = TRY(CopyContent(file.get(), temporary));
  return PublishFile(temporary, std::format("{}/EFI/Linux/{}", esp, RescueFile(copied.digest)));
}

// Writes what a node keeps beside its record, so that it can verify the release it was installed
// with.
Result<> FillState(const std::string& state, const SignedRelease& release) {
  const std::string commits = state + "/lib/hostos/commits";
  const std::string name = commits + "/" + release.commit.release.commit.Hex();
  TRY(MakeDirectories(commits));
  TRY(WriteFileAtomically(name + ".commit", release.commit.bytes));
  return WriteFileAtomically(name + ".commitmeta", release.commit.signatures);
}

// Gives everything below `path` the same time; the file systems made from it then carry that time.
Result<> SetTimes(const std::string& path, uint64_t seconds) {
  const timespec time = {.tv_sec = static_cast<time_t>(std::max(seconds, kFirstFatTime)),
                         .tv_nsec = 0};
  const timespec times[2] = {time, time};
  std::vector<std::string> paths = {path};
  std::error_code error;
  for (fs::recursive_directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error))
    paths.push_back(entry->path());
  if (error) return FailErrno(path, error.value());
  for (const std::string& each : paths)
    if (::utimensat(AT_FDCWD, each.c_str(), times, AT_SYMLINK_NOFOLLOW) < 0) return FailErrno(each);
  return {};
}

// Checks that every definition exists: a drop-in for a missing one would have no effect, silently.
Result<std::string> DefinitionsFrom(const DiskOptions& options) {
  const bool given = !options.definitions.empty();
  std::error_code error;
  const std::string directory =
      given ? fs::absolute(options.definitions, error).string() : TRY(OwnData("repart.d"));
  for (const char* name : kDefinitions) {
    const std::string file = std::format("{}/{}.conf", directory, name);
    if (!fs::is_regular_file(file, error))
      return Fail(given ? Code::kUsage : Code::kFailed,
                  "{}: expected the definitions of the partitions, {}.conf to {}.conf, found no "
                  "{}.conf; {}",
                  directory, kDefinitions[0], kDefinitions[std::size(kDefinitions) - 1], name,
                  given ? "begin with a copy of what comes with hostimage"
                        : "hostimage is not whole: build or install it again, or give "
                          "--definitions DIR");
  }
  return directory;
}

// Writes the drop-ins: what this release and this command line decide about the partitions.
Result<> WriteDropIns(const std::string& directory, const Release& release,
                      const DiskOptions& options) {
  std::string text[std::size(kDefinitions)];
  auto identity = [&](int definition, const std::string& label, const Uuid& uuid) {
    text[definition] += std::format("Label={}\nUUID={}\n", label, ToString(uuid));
  };
  auto size = [&](std::initializer_list<int> definitions, std::optional<uint64_t> bytes) {
    for (int definition : definitions)
      if (bytes) text[definition] += std::format("SizeMinBytes={0}\nSizeMaxBytes={0}\n", *bytes);
  };
  const SlotIdentity slot = SlotIdentity::OfRelease(release);
  identity(kRootA, slot.label, slot.data);
  identity(kVerityA, slot.label, slot.verity);
  text[kEsp] += std::format("UUID={}\n", ToString(kImageEsp));
  size({kEsp}, options.esp_size);
  size({kRootA, kRootB}, options.slot_size);
  size({kVerityA, kVerityB}, options.verity_size);
  size({kState}, options.state_size);
  for (size_t i = 0; i < std::size(kDefinitions); i++) {
    const std::string drop_in = std::format("{}/{}.conf.d", directory, kDefinitions[i]);
    TRY(MakeDirectories(drop_in));
    TRY(WriteFileAtomically(drop_in + "/release.conf", "[Partition]\n" + text[i]));
  }
  return {};
}

Result<std::vector<DiskPartition>> ParsePartitions(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  std::vector<DiskPartition> partitions;
  for (const nlohmann::json& row : json) {
    const bool whole = row.is_object() && row.contains("offset") && row.contains("raw_size") &&
                       row["offset"].is_number_unsigned() && row["raw_size"].is_number_unsigned();
    if (!whole) break;
    partitions.push_back({.label = row.value("label", ""),
                          .type = row.value("type", ""),
                          .uuid = row.value("uuid", ""),
                          .offset = row["offset"],
                          .size = row["raw_size"]});
  }
  if (partitions.empty() || partitions.size() != json.size())
    return Fail(Code::kFailed, "systemd-repart: expected a JSON array of partitions, found {}",
                text);
  return partitions;
}

// An operator's own definitions may say anything, so this reads the disk as a node will.
Result<> CheckLayout(const std::string& disk, const std::vector<DiskPartition>& partitions,
                     const Release& release, uint64_t sector_size) {
  const PartitionTable table = TRY(ReadPartitionTable(disk));
  if (table.esp.size / sector_size < kLeastFat32)
    return Fail(Code::kNoSpace,
                "an EFI system partition of {} bytes in sectors of {} is too small for FAT32: give "
                "--esp-size {}M or more",
                table.esp.size, sector_size, (kLeastFat32 * sector_size >> 20) + 1);
  const SlotPartitions &a = table.slot(Slot::A), &b = table.slot(Slot::B);
  if (table.architecture != release.architecture ||
      IdentityOf(a) != SlotIdentity::OfRelease(release))
    return Fail(Code::kFailed, "expected release {} for {} in the first slot, found \"{}\" for {}",
                release.version, release.architecture, a.data.label, table.architecture);
  if (b.data.label != kEmptyLabel || b.verity.label != kEmptyLabel)
    return Fail(Code::kFailed, "expected the second slot to be labelled {}, found {} and {}",
                kEmptyLabel, b.data.label, b.verity.label);
  if (a.data.size != b.data.size || a.verity.size != b.verity.size)
    return Fail(Code::kNoSpace,
                "release {} takes a slot of {} bytes with {} for its hash tree, but the second "
                "slot has {} and {}: give --slot-size or --verity-size",
                release.version, a.data.size, a.verity.size, b.data.size, b.verity.size);
  if (partitions.back().label != kStateLabel)
    return Fail(Code::kFailed,
                "expected the last partition to be {}, so that it can grow, found {}", kStateLabel,
                partitions.back().label);
  return {};
}

// Makes the disk a whole number of MiB, because Azure takes no other, and a converter that made it
// longer would leave the second copy of the partition table where nobody looks for it.
Result<> RoundUp(const std::string& disk, uint64_t sector_size) {
  constexpr uint64_t kMib = 1 << 20;
  std::error_code error;
  const uint64_t size = fs::file_size(disk, error);
  if (!error) fs::resize_file(disk, (size + kMib - 1) / kMib * kMib, error);
  if (error) return FailErrno(disk, error.value());
  TRY(RunProgram({"sfdisk", "--quiet", "--no-reread", "--no-tell-kernel",
                  std::format("--sector-size={}", sector_size), "--relocate", "gpt-bak-std",
                  disk}));
  return {};
}

Result<std::vector<DiskPartition>> RunRepart(const WorkDirectory& work,
                                             const SignedRelease& release,
                                             const std::string& definitions, uint64_t sector_size,
                                             const std::string& output) {
  const Release& facts = release.commit.release;
  Uuid seed_bytes;
  std::ranges::copy(std::span(facts.commit.bytes).first<16>(), seed_bytes.begin());
  const std::string seed = ToString(seed_bytes);
  // --sector-size, because otherwise the ESP would get sectors of 4096 bytes, which firmware does
  // not read from a disk with sectors of 512.
  //
  // The ext4 options, because otherwise mkfs.ext4 chooses its directory hash seed at random. It
  // honors only its last -E, so this repeats what systemd-repart itself passes.
  const std::string json = TRY(RunProgram(
      {"systemd-repart", "--root=" + work / "content", "--definitions=" + definitions,
       "--definitions=" + work / "drop-ins", "--architecture=" + facts.architecture,
       "--empty=create", "--offline=yes", "--size=auto",
       std::format("--sector-size={}", sector_size), "--seed=" + seed, "--dry-run=no",
       "--json=short", output},
      {"TMPDIR=" + work.path(), std::format("SOURCE_DATE_EPOCH={}", facts.timestamp),
       "SYSTEMD_REPART_MKFS_OPTIONS_EXT4=-E lazy_itable_init=1,nodiscard,hash_seed=" + seed}));
  std::vector<DiskPartition> partitions = TRY(ParsePartitions(json));
  TRY(RoundUp(output, sector_size));
  TRY_CONTEXT(definitions, CheckLayout(output, partitions, facts, sector_size));
  return partitions;
}

}  // namespace

std::optional<DiskFormat> FormatNamed(std::string_view name) {
  if (name == "raw") return DiskFormat::kRaw;
  if (name == "qcow2") return DiskFormat::kQcow2;
  return std::nullopt;
}

Result<DiskImage> MakeDisk(const ReleaseQuery& query, const DiskOptions& options,
                           Progress& progress) {
  const std::string definitions = TRY(DefinitionsFrom(options));
  const SignedRelease release = TRY(OpenSignedRelease(query));
  const Release& facts = release.commit.release;
  TRY_CONTEXT(query.name, CheckReleaseTime(facts.timestamp, SystemClock().Now()));
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
  const std::string rescue = work / "rescue.efi";
  TRY(Reseal(release,
             {.image = work / "content/root.erofs",
              .verity = work / "content/root.verity",
              .uki = entry,
              .rescue = rescue},
             progress));
  if (!options.rescue.empty() || facts.rescue)
    TRY(AddRescue(esp, options.rescue.empty() ? rescue : options.rescue, facts.architecture));
  TRY(AddCredentials(esp, options.credentials, work));
  TRY(SetTimes(esp, facts.timestamp));
  TRY(SetTimes(state, facts.timestamp));

  progress.Begin("disk", options.output);
  TRY(WriteDropIns(work / "drop-ins", facts, options));
  std::string image = work / "disk.raw";
  std::vector<DiskPartition> partitions =
      TRY(RunRepart(work, release, definitions, options.sector_size, image));
  if (options.format == DiskFormat::kQcow2) {
    TRY(RunProgram(
        {"qemu-img", "convert", "-f", "raw", "-O", "qcow2", image, work / "disk.qcow2"}));
    image = work / "disk.qcow2";
  }
  TRY(PublishFile(image, options.output));
  return DiskImage{facts, std::move(partitions)};
}

}  // namespace hostos
