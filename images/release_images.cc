#include "images/release_images.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <ranges>

#include "images/container_root.h"
#include "images/oci.h"
#include "images/program.h"
#include "images/reseal.h"
#include "images/work_directory.h"
#include "updater/base/atomic_file.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOsRelease = "/usr/lib/os-release";
constexpr size_t kMaxOsRelease = 64 << 10;

Result<> CheckTrusted(std::span<const SecretKey> keys, std::span<const PublicKey> trusted) {
  for (const SecretKey& key : keys) {
    const PublicKey own = TRY(key.Public());
    if (!std::ranges::any_of(trusted, [&](const PublicKey& each) { return each.SameAs(own); }))
      return Fail(Code::kUsage,
                  "--key: expected keys whose public halves are in --keys, found an {} key that is "
                  "not: nobody could check what it signs",
                  Name(own.algorithm));
  }
  return {};
}

void PutBigEndian(uint32_t value, std::byte* to) {
  for (int i = 0; i < 4; i++) to[i] = static_cast<std::byte>(value >> (24 - 8 * i));
}

// qemu-img puts the time of day and a random UUID into the footer of a VHD ("Virtual Hard Disk
// Image Format Specification", Microsoft, "Hard Disk Footer Format"): time stamp at 24, checksum at
// 64, UUID at 68.
Result<> SettleVhd(const std::string& path, const Release& release) {
  constexpr uint64_t kSize = 512, kEpoch = 946684800;  // 2000-01-01
  const UniqueFd file = TRY(Open(path, O_RDWR));
  const off_t end = ::lseek(file.get(), 0, SEEK_END);
  std::array<std::byte, kSize> footer{};
  const uint64_t at = static_cast<uint64_t>(end) - kSize;
  if (end < static_cast<off_t>(kSize) || TRY(PreadFull(file.get(), footer, at)) != kSize)
    return Fail(Code::kFailed, "{}: expected a footer of {} bytes", path, kSize);
  PutBigEndian(static_cast<uint32_t>(release.timestamp - std::min(release.timestamp, kEpoch)),
               &footer[24]);
  PutBigEndian(0, &footer[64]);
  std::ranges::copy(std::as_bytes(std::span(release.commit.bytes)).first<16>(), &footer[68]);
  uint32_t sum = 0;
  for (std::byte byte : footer) sum += std::to_integer<uint32_t>(byte);
  PutBigEndian(~sum, &footer[64]);
  return PwriteFull(file.get(), footer, at);
}

// qemu-img puts a random content ID into the descriptor of a VMDK, a text near its start.
Result<> SettleVmdk(const std::string& path, const Release& release) {
  constexpr std::string_view kKey = "\nCID=";
  const UniqueFd file = TRY(Open(path, O_RDWR));
  std::string head(64 << 10, '\0');
  head.resize(TRY(PreadFull(file.get(), std::as_writable_bytes(std::span(head)), 0)));
  const size_t at = head.find(kKey);
  if (at == std::string::npos)
    return Fail(Code::kFailed, "{}: expected a descriptor with CID=, found none", path);
  return PwriteFull(file.get(), AsBytes(release.commit.Short()), at + kKey.size());
}

// What every format is made from, and where.
struct Sources {
  const Scan& scan;
  const Release& release;
  const WorkDirectory& work;
  std::string disk;  // raw; there if a format needs it
};

// Makes a container's root and packs it. -n: without its name and time.
Result<ContainerRoot> PackedRoot(const Sources& from, ContainerKind kind, const std::string& tar) {
  const ContainerRoot root = TRY(WriteContainerRoot(from.scan, from.release.timestamp, kind, tar));
  TRY(RunProgram({"gzip", "-n", "-f", tar}));
  return root;
}

Result<> MakeOci(const Sources& from, const std::string& output) {
  const std::string tar = from.work / "layer.tar";
  const ContainerRoot root = TRY(PackedRoot(from, ContainerKind::kOci, tar));
  const SummedFile packed = TRY(SumFile(from.work.path(), "layer.tar.gz"));
  const OciLayer layer = {.digest = packed.digest, .size = packed.size, .diff_id = root.digest};
  return WriteOciArchive(output, from.release, layer, tar + ".gz");
}

Result<> MakeWsl(const Sources& from, const std::string& output) {
  const std::string tar = from.work / "wsl.tar";
  TRY(PackedRoot(from, ContainerKind::kWsl, tar));
  std::error_code error;
  fs::rename(tar + ".gz", output, error);
  if (error) return FailErrno(output, error.value());
  return {};
}

Result<> MakeImage(ImageFormat format, const Sources& from, const std::string& output) {
  const auto convert = [&](std::vector<std::string> options) -> Result<> {
    // One piece after the other: several would be written in the order in which they were packed.
    std::vector<std::string> words = {"qemu-img", "convert", "-m", "1", "-f", "raw", "-O"};
    words.emplace_back(FactsOf(format).qemu);
    std::ranges::move(options, std::back_inserter(words));
    words.insert(words.end(), {from.disk, output});
    TRY(RunProgram(words));
    return {};
  };
  switch (format) {
    case ImageFormat::kRawZst:
      TRY(RunProgram({"zstd", "-q", "-T0", "-9", from.disk, "-o", output}));
      return {};
    case ImageFormat::kQcow2:
      return convert({"-c", "-o", "compression_type=zstd"});
    case ImageFormat::kVhd:
      // The size of the disk itself, in place of the next that cylinders, heads and sectors can
      // say.
      TRY(convert({"-o", "subformat=fixed,force_size=on"}));
      return SettleVhd(output, from.release);
    case ImageFormat::kVhdx:
      return convert({"-o", "subformat=dynamic"});
    case ImageFormat::kVmdk:
      TRY(convert({"-o", "subformat=streamOptimized"}));
      return SettleVmdk(output, from.release);
    case ImageFormat::kOci:
      return MakeOci(from, output);
    case ImageFormat::kWsl:
      return MakeWsl(from, output);
    case ImageFormat::kRaw:
      break;
  }
  return Fail(Code::kUsage, "an image in the format raw is what `disk` makes");
}

// What `directory` holds goes to stable storage before its name does.
Result<> PublishDirectory(const std::string& directory, const std::string& path) {
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const UniqueFd file = TRY(Open(entry->path(), O_RDONLY));
    if (::fsync(file.get()) < 0) return FailErrno(entry->path().string() + ": fsync");
  }
  if (error) return FailErrno(directory, error.value());
  TRY(SyncDirectory(directory));
  return PublishFile(directory, path);
}

}  // namespace

Result<std::string> ImageStem(const Scan& scan, const Release& release) {
  const FileObject* file = FindFile(scan.tree, kOsRelease);
  if (!file)
    return Fail(Code::kFailed, "expected a file {} in the release, found none", kOsRelease);
  const std::string text = TRY(ReadChecked(*file, *scan.content, kMaxOsRelease));
  const bool preview = ("\n" + text).contains("\nRELEASE_TYPE=development\n");
  return std::format("hostos-{}{}-{}", release.version, preview ? "-preview" : "",
                     release.architecture);
}

Result<ReleaseImages> MakeImages(const ReleaseQuery& query, const ImagesOptions& options,
                                 std::span<const SecretKey> keys, Progress& progress) {
  std::error_code error;
  if (fs::exists(options.output, error))
    return Fail(Code::kUsage, "--output {}: expected a new directory, found one that is there",
                options.output);
  const std::vector<PublicKey> trusted = TRY(LoadGivenKeys(query.keys));
  TRY(CheckTrusted(keys, trusted));
  const SignedRelease release = TRY(OpenSignedRelease(query));
  const Release& facts = release.commit.release;
  const Scan scan = TRY(ScanCommit(release.repo, release.commit));
  const std::string stem = TRY(ImageStem(scan, facts));
  const WorkDirectory work = TRY(WorkDirectory::Beside(options.output));
  const std::string images = work / "images";
  TRY(MakeDirectories(images));
  const Sources sources = {.scan = scan, .release = facts, .work = work, .disk = work / "disk.raw"};
  if (std::ranges::any_of(options.formats, IsDisk)) {
    DiskOptions disk = options.disk;
    disk.output = sources.disk;
    TRY(MakeDisk(query, disk, progress));
  }
  ReleaseImages made = {.release = facts, .images = {}};
  for (const ImageFormat format : options.formats) {
    const std::string name = std::format("{}{}", stem, FactsOf(format).suffix);
    progress.Begin(FactsOf(format).name, name);
    TRY_CONTEXT(name, MakeImage(format, sources, images + "/" + name));
    SummedFile file = TRY(SumFile(images, name));
    made.images.push_back({format, std::move(file)});
  }
  std::vector<SummedFile> files;
  for (const MadeImage& image : made.images) files.push_back(image.file);
  TRY(WriteSums(images, files, keys));
  TRY(PublishDirectory(images, options.output));
  return made;
}

}  // namespace hostos
