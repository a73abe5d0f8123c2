#include "updater/release/release_target.h"

#include <algorithm>

#include "updater/base/clock.h"
#include "updater/base/sbom_path.h"
#include "updater/release/commit.h"
#include "updater/tuf/json.h"
#include "updater/tuf/name.h"

namespace hostos {
namespace {

constexpr int64_t kFormat = 1;

Result<Digest> DigestAt(const tuf::Object& object, const char* key) {
  const std::string text = TRY(object.Text(key));
  Result<Digest> digest = Digest::FromHex(text);
  if (!digest)
    return Fail(Code::kNotTrusted, "{}.{}: {}", object.where(), key, digest.error().message);
  return digest;
}

// The name becomes part of paths and messages.
Result<std::string> NameAt(const tuf::Object& object, const char* key) {
  std::string name = TRY(object.Text(key));
  if (IsValidName(name)) return name;
  return Fail(Code::kNotTrusted, "{}.{}: expected {}, found '{}'", object.where(), key, kNameRule,
              tuf::EncodeName(name.substr(0, 60)));
}

Result<uint64_t> NumberAt(const tuf::Object& object, const char* key, int64_t least) {
  return static_cast<uint64_t>(TRY(object.Integer(key, least)));
}

// A list of at most `most`. A target of before there were such things has no list.
Result<std::vector<tuf::Object>> ListAt(const tuf::Object& object, const char* key, size_t most) {
  if (!object.Has(key)) return {};
  std::vector<tuf::Object> list = TRY(object.Children(key));
  if (list.size() <= most) return list;
  return Fail(Code::kNotTrusted, "{}.{}: expected at most {}, found {}", object.where(), key, most,
              list.size());
}

Result<DeltaPack> PackFrom(const tuf::Object& object) {
  const Digest from = TRY(DigestAt(object, "from"));
  const uint64_t size = TRY(NumberAt(object, "size", 1));
  return DeltaPack{from, size};
}

Result<SbomFile> SbomFrom(const tuf::Object& object) {
  SbomFile file;
  file.format = TRY(NameAt(object, "format"));
  file.digest = TRY(DigestAt(object, "sha256"));
  file.size = TRY(NumberAt(object, "size", 1));
  if (file.size <= kMaxSbomBytes) return file;
  return Fail(Code::kNotTrusted, "{}.size: expected at most {}, found {}", object.where(),
              kMaxSbomBytes, file.size);
}

template <class T>
Result<> CheckField(std::string_view name, const T& signed_value, const T& found) {
  if (signed_value == found) return {};
  return Fail(Code::kNotTrusted, "{}: expected {} as the release's target says, found {}", name,
              signed_value, found);
}

}  // namespace

ReleaseTarget TargetOf(const Release& release) {
  return {.version = release.version,
          .channel = release.channel,
          .architecture = release.architecture,
          .commit = release.commit,
          .root_hash = release.root_hash,
          .image_size = release.image_size,
          .uki_digest = release.uki_digest,
          .uki_size = release.uki_size};
}

Result<ReleaseTarget> ParseReleaseTarget(std::string_view bytes) {
  const tuf::Json json = TRY_CONTEXT("release", tuf::ParseJson(bytes, kMaxReleaseTargetBytes));
  const tuf::Object object = TRY(tuf::Object::From(json, "release"));
  if (const int64_t format = TRY(object.Integer("format", 1)); format != kFormat)
    return Fail(Code::kNotSupported,
                "release.format: expected {}, found {}; update to a release in between first",
                kFormat, format);
  const uint64_t index = TRY(NumberAt(object, "index", 1));
  const uint64_t minimum_index = TRY(NumberAt(object, "minimum_index", 0));
  if (minimum_index > index)
    return Fail(Code::kNotTrusted,
                "release.minimum_index: expected at most its index, {}, found {}", index,
                minimum_index);
  ReleaseTarget target;
  target.product = TRY(NameAt(object, "product"));
  target.version = TRY(NameAt(object, "version"));
  target.channel = TRY(NameAt(object, "channel"));
  target.architecture = TRY(NameAt(object, "architecture"));
  target.commit = TRY(DigestAt(object, "commit"));
  target.root_hash = TRY(DigestAt(object, "root_hash"));
  target.image_size = TRY(NumberAt(object, "image_size", 1));
  target.uki_digest = TRY(DigestAt(object, "uki_sha256"));
  target.uki_size = TRY(NumberAt(object, "uki_size", 1));
  target.index = index;
  target.minimum_index = minimum_index;
  for (const tuf::Object& pack : TRY(ListAt(object, "packs", kMaxPacks)))
    target.packs.push_back(TRY(PackFrom(pack)));
  for (const tuf::Object& sbom : TRY(ListAt(object, "sboms", kMaxSboms)))
    target.sboms.push_back(TRY(SbomFrom(sbom)));
  return target;
}

std::string WriteReleaseTarget(const ReleaseTarget& target) {
  tuf::Json json = {{"format", kFormat},
                    {"product", target.product},
                    {"version", target.version},
                    {"channel", target.channel},
                    {"architecture", target.architecture},
                    {"commit", target.commit.Hex()},
                    {"root_hash", target.root_hash.Hex()},
                    {"image_size", target.image_size},
                    {"uki_sha256", target.uki_digest.Hex()},
                    {"uki_size", target.uki_size},
                    {"index", target.index},
                    {"minimum_index", target.minimum_index}};
  for (const DeltaPack& pack : target.packs)
    json["packs"].push_back({{"from", pack.from.Hex()}, {"size", pack.size}});
  for (const SbomFile& sbom : target.sboms)
    json["sboms"].push_back(
        {{"format", sbom.format}, {"sha256", sbom.digest.Hex()}, {"size", sbom.size}});
  return json.dump(2) + "\n";
}

Result<> CheckBinding(const ReleaseTarget& target, const Release& release) {
  TRY(CheckField("version", target.version, release.version));
  TRY(CheckField("channel", target.channel, release.channel));
  TRY(CheckField("architecture", target.architecture, release.architecture));
  TRY(CheckField("commit", target.commit.Hex(), release.commit.Hex()));
  TRY(CheckField("root hash", target.root_hash.Hex(), release.root_hash.Hex()));
  TRY(CheckField("image size", target.image_size, release.image_size));
  TRY(CheckField("SHA-256 of the UKI", target.uki_digest.Hex(), release.uki_digest.Hex()));
  return CheckField("size of the UKI", target.uki_size, release.uki_size);
}

std::string SbomPath(const ReleaseTarget& target, const std::string& format) {
  return std::format("sbom/{}/{}-{}.{}.json", target.root_hash.Hex(), target.product,
                     target.version, format);
}

ReleaseLimits LimitsOf(std::span<const tuf::TrustedRole> trusted) {
  ReleaseLimits limits;
  for (const tuf::TrustedRole& role : trusted) {
    limits.time = std::min(limits.time, role.expires);
    if (role.role == "targets")
      limits.index = static_cast<uint64_t>(role.version) * kMaxReleasesAtOnce;
  }
  return limits;
}

Result<> CheckLimits(const Release& release, uint64_t index, const ReleaseLimits& limits) {
  if (release.timestamp > limits.time)
    return Fail(Code::kNotTrusted,
                "time of the release: expected one before {}, when the metadata that names it "
                "expires, found {}",
                FormatTimeIso(limits.time), FormatTimeIso(release.timestamp));
  if (index > limits.index)
    return Fail(Code::kNotTrusted,
                "index of the release: expected at most {} in targets of that version, found {}",
                limits.index, index);
  return {};
}

std::string ChannelTarget(const std::string& product, const std::string& architecture,
                          const std::string& channel) {
  return std::format("{}/{}/{}.json", product, architecture, channel);
}

std::string VersionTarget(const std::string& product, const std::string& architecture,
                          const std::string& channel, const std::string& version) {
  return std::format("{}/{}/{}/{}.json", product, architecture, channel, version);
}

}  // namespace hostos
