#include <algorithm>
#include <vector>

#include "images/disk.h"
#include "images/provenance.h"
#include "images/release_images.h"
#include "images/reproduce.h"
#include "images/secrets.h"
#include "images/verb_options.h"
#include "images/verbs.h"
#include "images/verify_image.h"
#include "images/verify_release.h"
#include "updater/base/text.h"
#include "updater/release/commit.h"

namespace hostos {
namespace {

Result<ReleaseQuery> QueryFrom(const Arguments& arguments, const std::string& name) {
  const SignatureRule rule = TRY(RuleFrom(arguments));
  return ReleaseQuery{.repo = arguments.Get("repo"),
                      .name = name,
                      .keys = arguments.All("keys"),
                      .signatures = rule};
}

// verify ------------------------------------------------------------------------------------------

constexpr Option kVerifyOptions[] = {
    {"repo", "DIR", Times::kAtMostOnce,
     "the archive repository; needed, except with --image of a disk"},
    kKeys,
    kRequired,
    kSignatures,
    {"image", "FILE", Times::kAtMostOnce,
     "a downloaded image, with SHA256SUMS beside it; the release is the one that it is to hold"},
    {"release-only", "", Times::kAtMostOnce,
     "of an image prove the release that it holds, without SHA256SUMS"},
    kJson,
};

Result<Release> Prove(const Arguments& arguments, std::vector<Proof>& proofs) {
  PhaseLines progress;
  const SignatureRule rule = TRY(RuleFrom(arguments));
  const std::string &name = arguments.operand(), repo = arguments.GetOr("repo", "");
  if (arguments.Has("image"))
    return VerifyImage({.path = arguments.Get("image"),
                        .name = name,
                        .repo = repo,
                        .keys = arguments.All("keys"),
                        .signatures = rule,
                        .release_only = arguments.Has("release-only")},
                       progress, proofs);
  if (name.empty() || repo.empty() || arguments.Has("release-only"))
    return Fail(Code::kUsage, "verify needs REF|COMMIT and --repo DIR, or --image FILE");
  return VerifyRelease(
      {.repo = repo, .name = name, .keys = arguments.All("keys"), .signatures = rule}, progress,
      proofs);
}

Result<> RunVerify(const Arguments& arguments) {
  std::vector<Proof> proofs;
  const Result<Release> release = Prove(arguments, proofs);
  if (arguments.Has("json")) {
    Json json = {{"trusted", release.has_value()}};
    if (release) json["release"] = ToJson(*release);
    if (!release) json["problem"] = release.error().message;
    for (const Proof& proof : proofs) json["proofs"][proof.name] = proof.detail;
    Print(json);
  } else {
    for (const Proof& proof : proofs) Print(std::format("{:<11} {}\n", proof.name, proof.detail));
  }
  TRY(release);
  return {};
}

// provenance --------------------------------------------------------------------------------------

constexpr Option kProvenanceOptions[] = {kRepo, kKeys, kRequired, kSignatures, kProduct, kJson};

Result<> RunProvenance(const Arguments& arguments) {
  const ReleaseQuery query = TRY(QueryFrom(arguments, arguments.operand()));
  const Provenance provenance = TRY(ReadProvenance(query, ProductFrom(arguments)));
  Print(arguments.Has("json") ? provenance.statement.dump(2) + "\n" : TextOf(provenance));
  return {};
}

// reproduce ---------------------------------------------------------------------------------------

constexpr Option kReproduceOptions[] = {
    kRepo,
    kKeys,
    {"source", "DIR", Times::kAtMostOnce,
     "a checkout of the commit that it was made of (default: the current directory)"},
    {"install", "DIR", Times::kOnce, "a tree, as cmake --install of that checkout writes it"},
    {"base", "DIR", Times::kAtMostOnce,
     "as rootfs/build base wrote it (default: one is made, of today's archive)"},
    {"output", "DIR", Times::kOnce, "where it is made, and stays for a look"},
    kRequired,
    kSignatures,
    kProduct,
    kJson,
};

Result<> RunReproduce(const Arguments& arguments) {
  PhaseLines progress;
  ReproduceOptions options = {.query = TRY(QueryFrom(arguments, arguments.operand())),
                              .product = ProductFrom(arguments),
                              .source = arguments.GetOr("source", "."),
                              .install = arguments.Get("install"),
                              .base = arguments.GetOr("base", ""),
                              .output = arguments.Get("output")};
  const Reproduced made = TRY(Reproduce(options, progress));
  if (arguments.Has("json")) {
    Print(Json{{"same", made.differences.empty()},
               {"differences", made.differences},
               {"root_hash", made.release.root_hash.Hex()},
               {"uki_sha256", made.release.uki_digest.Hex()}});
  } else {
    for (const std::string& difference : made.differences) Print(difference + "\n");
    if (made.differences.empty())
      Print(std::format("root hash   {}, the same\nboot image  {}, the same\n",
                        made.release.root_hash.Hex(), made.release.uki_digest.Hex()));
  }
  if (made.differences.empty()) return {};
  return Fail(Code::kFailed, "{}: expected the same bytes as released, found {} differences; {}",
              options.query.name, made.differences.size(), options.output);
}

constexpr Option kSectorSize = {"sector-size", "BYTES", Times::kAtMostOnce,
                                "of the disk it is for: 512 (default) or 4096"};
constexpr Option kEspSize = {"esp-size", "SIZE", Times::kAtMostOnce, "(default 1G)"};
constexpr Option kSlotSize = {"slot-size", "SIZE", Times::kAtMostOnce,
                              "of each root partition (default 2G)"};
constexpr Option kVeritySize = {"verity-size", "SIZE", Times::kAtMostOnce,
                                "of each hash tree partition (default 64M)"};
constexpr Option kStateSize = {"state-size", "SIZE", Times::kAtMostOnce,
                               "of /var (default 4G); it can grow with the disk"};
constexpr Option kPartitionsFrom = {"definitions", "DIR", Times::kAtMostOnce,
                                    "repart.d files in place of those that come with hostimage"};

// disk --------------------------------------------------------------------------------------------

constexpr Option kDiskOptions[] = {
    kRepo,
    kKeys,
    {"output", "FILE", Times::kOnce, "the disk image; an existing one is replaced"},
    kRequired,
    kSignatures,
    {"format", "FORMAT", Times::kAtMostOnce, "raw (default; sparse) or qcow2"},
    {"rescue", "FILE", Times::kAtMostOnce, "in place of the rescue that the release brings"},
    kSectorSize,
    kEspSize,
    kSlotSize,
    kVeritySize,
    kStateSize,
    kPartitionsFrom,
    kJson,
};

Result<DiskFormat> FormatFrom(const Arguments& arguments) {
  const std::string format = arguments.GetOr("format", "raw");
  if (const std::optional<DiskFormat> named = FormatNamed(format)) return *named;
  return Fail(Code::kUsage, "--format: expected raw or qcow2, found \"{}\"", format);
}

Result<uint64_t> SectorSizeFrom(const Arguments& arguments) {
  const std::string size = arguments.GetOr("sector-size", "512");
  if (size == "512") return 512;
  if (size == "4096") return 4096;
  return Fail(Code::kUsage, "--sector-size: expected 512 or 4096, found \"{}\"", size);
}

// What `disk` and `images` share.
Result<DiskOptions> DiskFrom(const Arguments& arguments) {
  DiskOptions options;
  options.definitions = arguments.GetOr("definitions", "");
  options.sector_size = TRY(SectorSizeFrom(arguments));
  options.esp_size = TRY(arguments.Size("esp-size"));
  options.slot_size = TRY(arguments.Size("slot-size"));
  options.verity_size = TRY(arguments.Size("verity-size"));
  options.state_size = TRY(arguments.Size("state-size"));
  return options;
}

Result<> RunDisk(const Arguments& arguments) {
  PhaseLines progress;
  DiskOptions options = TRY(DiskFrom(arguments));
  options.output = arguments.Get("output");
  options.format = TRY(FormatFrom(arguments));
  options.rescue = arguments.GetOr("rescue", "");
  const ReleaseQuery query = TRY(QueryFrom(arguments, arguments.operand()));
  const DiskImage disk = TRY(MakeDisk(query, options, progress));
  if (arguments.Has("json")) {
    Json json = {{"output", options.output}, {"release", ToJson(disk.release)}};
    for (const DiskPartition& partition : disk.partitions)
      json["partitions"].push_back({{"label", partition.label},
                                    {"type", partition.type},
                                    {"uuid", partition.uuid},
                                    {"offset", partition.offset},
                                    {"size", partition.size}});
    Print(json);
    return {};
  }
  Print(std::format("{}: release {}, commit {}\n", options.output, disk.release.version,
                    disk.release.commit.Hex()));
  for (const DiskPartition& partition : disk.partitions)
    Print(std::format("  {:<20} {:<18} {:>10}  {}\n", partition.label, partition.type,
                      Megabytes(partition.size), partition.uuid));
  return {};
}

// images ------------------------------------------------------------------------------------------

constexpr Option kImagesOptions[] = {
    kRepo,
    kKeys,
    {"key", "KEY", Times::kAtLeastOnce,
     "secret keys to sign SHA256SUMS with (FILE, env:NAME or pkcs11:...)"},
    kPassphraseFile,
    {"output", "DIR", Times::kOnce, "where they go: a new directory"},
    {"format", "FORMAT", Times::kAnyNumber,
     "raw.zst, qcow2, vhd, vhdx, vmdk, oci or wsl (default: all of them)"},
    kRequired,
    kSignatures,
    kArchitecture,
    kSectorSize,
    kEspSize,
    kSlotSize,
    kVeritySize,
    kStateSize,
    kPartitionsFrom,
    kJson,
};

Result<std::vector<ImageFormat>> FormatsFrom(const Arguments& arguments) {
  std::vector<ImageFormat> formats;
  for (const std::string& name : arguments.All("format")) {
    const std::optional<ImageFormat> format = ImageFormatNamed(name);
    if (!format)
      return Fail(Code::kUsage, "--format: expected one of {}, found \"{}\"", MadeFormats(), name);
    if (std::ranges::contains(formats, *format))
      return Fail(Code::kUsage, "--format {} is given twice", name);
    formats.push_back(*format);
  }
  for (const ImageFormatFacts& facts : kImageFormats)
    if (!arguments.Has("format") && facts.format != ImageFormat::kRaw)
      formats.push_back(facts.format);
  return formats;
}

Result<> RunImages(const Arguments& arguments) {
  PhaseLines progress;
  ImagesOptions options;
  options.output = arguments.Get("output");
  options.formats = TRY(FormatsFrom(arguments));
  options.disk = TRY(DiskFrom(arguments));
  const ReleaseQuery query =
      TRY(QueryFrom(arguments, ReleaseRef(ArchitectureFrom(arguments), arguments.operand())));
  const std::vector<SecretKey> keys = TRY(KeysFrom(arguments, "key"));
  const ReleaseImages made = TRY(MakeImages(query, options, keys, progress));
  if (arguments.Has("json")) {
    Json json = {{"output", options.output}, {"release", ToJson(made.release)}};
    for (const MadeImage& image : made.images)
      json["images"].push_back({{"format", FactsOf(image.format).name},
                                {"name", image.file.name},
                                {"size", image.file.size},
                                {"sha256", image.file.digest.Hex()}});
    Print(json);
    return {};
  }
  Print(std::format("{}: release {}, commit {}\n", options.output, made.release.version,
                    made.release.commit.Hex()));
  for (const MadeImage& image : made.images)
    Print(std::format("  {:<34} {:>10}\n", image.file.name, Megabytes(image.file.size)));
  return {};
}

constexpr Subcommand kVerbs[] = {
    {"verify", "[REF|COMMIT]",
     "Proves a release from its signatures to the last byte of its image, or a downloaded image.",
     kVerifyOptions, RunVerify},
    {"provenance", "REF|COMMIT", "Tells what a release was made of, as its keys signed it.",
     kProvenanceOptions, RunProvenance},
    {"reproduce", "REF|COMMIT", "Makes a release again of what its provenance says, and compares.",
     kReproduceOptions, RunReproduce},
    {"disk", "REF|COMMIT", "Makes a bootable disk image of a release.", kDiskOptions, RunDisk},
    {"images", "VERSION", "Makes what people download of a release, in every format, signed.",
     kImagesOptions, RunImages},
};

}  // namespace

std::span<const Subcommand> ImageVerbs() {
  return kVerbs;
}

}  // namespace hostos
