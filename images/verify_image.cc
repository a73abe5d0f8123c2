#include "images/verify_image.h"

#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "images/checksums.h"
#include "images/container_root.h"
#include "images/image_format.h"
#include "images/program.h"
#include "images/reseal.h"
#include "images/verify_container.h"
#include "images/verify_disk.h"
#include "images/work_directory.h"
#include "updater/base/unique_fd.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxDisk = uint64_t{1} << 40;

// An image of qemu-img's formats can name other files and servers, which qemu-img would read.
Result<> CheckAlone(const std::string& path, std::string_view format) {
  const std::string text =
      TRY(RunOnUntrusted({"qemu-img", "info", "--output=json", "-f", std::string(format), path}));
  const nlohmann::json info = nlohmann::json::parse(text, nullptr, false);
  const auto at = [&](const char* pointer) {
    const nlohmann::json::json_pointer place(pointer);
    return info.is_object() && info.contains(place) ? info[place] : nlohmann::json();
  };
  const nlohmann::json size = at("/virtual-size");
  if (!size.is_number_unsigned() || size.get<uint64_t>() > kMaxDisk)
    return Fail(Code::kNotTrusted, "expected a disk of at most {} bytes, found {}", kMaxDisk,
                size.dump());
  const bool others = info.contains("backing-filename") ||
                      !at("/format-specific/data/data-file").is_null() ||
                      at("/format-specific/data/extents").size() > 1 ||
                      (format == "vmdk" && at("/format-specific/data/extents/0/filename") != path);
  if (others)
    return Fail(Code::kNotTrusted,
                "expected an image that is whole in its file, found one that "
                "names others");
  return {};
}

// The path of the disk as raw bytes: the image itself, or a sparse file in `work`.
Result<std::string> RawDisk(const std::string& path, ImageFormat format,
                            const WorkDirectory& work) {
  if (format == ImageFormat::kRaw) return path;
  const std::string raw = work / "disk.raw";
  if (format == ImageFormat::kRawZst) {
    TRY(RunOnUntrusted({"zstd", "-q", "-d", "--sparse", path, "-o", raw}));
    return raw;
  }
  const std::string qemu(FactsOf(format).qemu);
  TRY(CheckAlone(path, qemu));
  TRY(RunOnUntrusted({"qemu-img", "convert", "-f", qemu, "-O", "raw", path, raw}));
  return raw;
}

// The release that the name of a published file says.
Result<std::string> RefOf(const std::string& path, ImageFormat format) {
  constexpr std::string_view kProduct = "hostos-", kPreview = "-preview";
  const std::string file = fs::path(path).filename();
  std::string_view name = file;
  name.remove_suffix(FactsOf(format).suffix.size());
  for (const std::string architecture : {"x86-64", "arm64"}) {
    if (!name.starts_with(kProduct) || !name.ends_with("-" + architecture)) continue;
    name.remove_prefix(kProduct.size());
    name.remove_suffix(architecture.size() + 1);
    if (name.ends_with(kPreview)) name.remove_suffix(kPreview.size());
    return ReleaseRef(architecture, std::string(name));
  }
  return Fail(Code::kUsage,
              "{}: expected a name such as hostos-1.0.0-x86-64{}, or the release beside --image",
              path, FactsOf(format).suffix);
}

Result<Release> VerifyContainer(const ImageQuery& query, ImageFormat format,
                                const WorkDirectory& work, Progress& progress,
                                std::vector<Proof>& proofs) {
  if (query.repo.empty())
    return Fail(Code::kUsage,
                "{}: {} holds less than its release, so that its root hash comes out of the "
                "repository alone: give --repo DIR",
                query.path, FactsOf(format).name);
  const std::string name = query.name.empty() ? TRY(RefOf(query.path, format)) : query.name;
  const ReleaseQuery of_repo = {
      .repo = query.repo, .name = name, .keys = query.keys, .signatures = query.signatures};
  const Release release = TRY(VerifyRelease(of_repo, progress, proofs));
  const SignedRelease signed_release = TRY(OpenSignedRelease(of_repo));
  progress.Begin("files", query.path);
  const Scan scan = TRY(ScanCommit(signed_release.repo, signed_release.commit));
  const bool oci = format == ImageFormat::kOci;
  const ContainerRoot root = TRY(WriteContainerRoot(
      scan, release.timestamp, oci ? ContainerKind::kOci : ContainerKind::kWsl, work / "root.tar"));
  TRY_CONTEXT(query.path,
              oci ? CheckOciArchive(query.path, release, root) : CheckPackedRoot(query.path, root));
  proofs.push_back(
      {"files", std::format("{} entries are those of the release, byte for byte", root.entries)});
  return release;
}

Result<> CheckIsRelease(const Release& release, const std::string& name) {
  if (name.empty() || name == release.commit.Hex() ||
      name == ReleaseRef(release.architecture, release.version) ||
      name == ChannelRef(release.architecture, release.channel))
    return {};
  return Fail(Code::kNotTrusted, "expected {}, found release {}, commit {}", name, release.version,
              release.commit.Hex());
}

}  // namespace

Result<Release> VerifyImage(const ImageQuery& query, Progress& progress,
                            std::vector<Proof>& proofs) {
  const std::vector<PublicKey> trusted = TRY(LoadGivenKeys(query.keys));
  const UniqueFd file = TRY(Open(query.path, O_RDONLY));
  const ImageFormat format = TRY(CheckImageFormat(query.path, file.get()));
  if (!query.release_only) {
    progress.Begin("file", query.path);
    struct stat status;
    if (::fstat(file.get(), &status) < 0) return FailErrno(query.path);
    const Digest digest =
        TRY_CONTEXT(query.path, HashFile(file.get(), static_cast<uint64_t>(status.st_size)));
    const auto lacks_list = [&](Error error) {
      if (error.code == Code::kNotFound)
        error.message +=
            "; it is published beside the image. Without it --release-only proves the "
            "release in the image, but not the boot loader";
      return error;
    };
    const uint32_t signers =
        TRY(CheckSums(query.path, digest, trusted, query.signatures).transform_error(lacks_list));
    proofs.push_back({"file", std::format("{} of {} required keys signed its SHA-256, {}", signers,
                                          query.signatures.required, digest.Hex())});
  }
  proofs.push_back({"format", std::string(FactsOf(format).name)});
  std::error_code no_directory;
  const WorkDirectory work =
      TRY(WorkDirectory::Beside(fs::temp_directory_path(no_directory) / "hostimage"));
  if (!IsDisk(format)) return VerifyContainer(query, format, work, progress, proofs);
  progress.Begin("read", query.path);
  // Absolute, because qemu-img takes "nbd:" and the like at the beginning of a name for a protocol.
  const std::string path = fs::absolute(query.path);
  const std::string raw = TRY_CONTEXT(query.path, RawDisk(path, format, work));
  const Release release =
      TRY_CONTEXT(query.path, VerifyDisk(raw, trusted, query.signatures, work, progress, proofs));
  TRY_CONTEXT(query.path, CheckIsRelease(release, query.name));
  return release;
}

}  // namespace hostos
