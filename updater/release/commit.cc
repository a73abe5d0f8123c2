#include "updater/release/commit.h"

#include <algorithm>
#include <optional>
#include <set>

#include "updater/base/unique_fd.h"
#include "updater/release/glib.h"
#include "updater/release/varint.h"

namespace hostos {
namespace {

VariantRef Child(GVariant* parent, size_t index) {
  return VariantRef::Adopt(g_variant_get_child_value(parent, index));
}

// A dictionary (a{sv}) of the commit. Each key occurs once.
class Dictionary {
 public:
  static Result<Dictionary> Read(VariantRef variant) {
    std::set<std::string_view> names;
    for (size_t i = 0; i < g_variant_n_children(variant.get()); ++i) {
      const char* name = nullptr;
      g_variant_get_child(variant.get(), i, "{&sv}", &name, nullptr);
      if (!names.insert(name).second) {
        return Fail(Code::kNotTrusted, "commit metadata: key '{}' is there twice", name);
      }
    }
    return Dictionary(std::move(variant));
  }

  Result<VariantRef> Get(const char* key, const char* type) const {
    auto value = VariantRef::Adopt(g_variant_lookup_value(variant_.get(), key, nullptr));
    if (!value) {
      return Fail(Code::kNotTrusted, "commit metadata: expected the key '{}', found none", key);
    }
    if (!g_variant_is_of_type(value.get(), G_VARIANT_TYPE(type))) {
      return Fail(Code::kNotTrusted, "commit metadata: {}: expected type '{}', found '{}'", key,
                  type, g_variant_get_type_string(value.get()));
    }
    return value;
  }

  bool Has(const char* key) const {
    return VariantRef::Adopt(g_variant_lookup_value(variant_.get(), key, nullptr)).get() != nullptr;
  }

  Result<std::string> Text(const char* key) const {
    return g_variant_get_string(TRY(Get(key, "s")).get(), nullptr);
  }

  Result<std::string> Name(const char* key) const {
    std::string text = TRY(Text(key));
    if (IsValidName(text)) return text;
    return Fail(Code::kNotTrusted, "commit metadata: {}: expected {}, found '{}'", key, kNameRule,
                text.substr(0, 60));
  }

  Result<Digest> Hash(const char* key) const {
    auto digest = Digest::FromHex(TRY(Text(key)));
    if (digest) return *digest;
    return Fail(Code::kNotTrusted, "commit metadata: {}: {}", key, digest.error().message);
  }

  // A number of bytes above 0 that also fits the signed off_t.
  Result<uint64_t> Size(const char* key) const {
    uint64_t size = GUINT64_FROM_LE(g_variant_get_uint64(TRY(Get(key, "t")).get()));
    if (size > 0 && size <= INT64_MAX) return size;
    return Fail(Code::kNotTrusted, "commit metadata: {}: expected a size above 0, found {}", key,
                size);
  }

 private:
  explicit Dictionary(VariantRef variant) : variant_(std::move(variant)) {}
  VariantRef variant_;
};

Result<Digest> ReadChecksum(GVariant* bytes, const char* what) {
  std::string_view array = VariantArray(bytes);
  Digest digest;
  if (array.size() != digest.bytes.size()) {
    return Fail(Code::kNotTrusted, "commit: {}: expected a checksum of 32 bytes, found {}", what,
                array.size());
  }
  std::ranges::copy(array, digest.bytes.begin());
  return digest;
}

// One element of "ostree.sizes": checksum, archived size, unpacked size, object type.
std::optional<ObjectSize> ReadObjectSize(std::string_view bytes) {
  ObjectSize entry;
  if (bytes.size() < entry.checksum.bytes.size()) return std::nullopt;
  std::ranges::copy(bytes.substr(0, 32), entry.checksum.bytes.begin());
  bytes.remove_prefix(32);
  auto archived = TakeVarint(bytes);
  auto unpacked = TakeVarint(bytes);
  if (!archived || !unpacked || *archived > INT64_MAX || *unpacked > INT64_MAX ||
      bytes.size() != 1) {
    return std::nullopt;
  }
  entry.archived = *archived;
  entry.unpacked = *unpacked;
  entry.type = static_cast<ObjectType>(bytes.front());
  if (entry.type < ObjectType::kFile || entry.type > ObjectType::kDirmeta) return std::nullopt;
  return entry;
}

Result<std::vector<ObjectSize>> ReadSizes(GVariant* sizes) {
  std::vector<ObjectSize> entries;
  size_t count = g_variant_n_children(sizes);
  entries.reserve(count);
  uint64_t archived = 0, unpacked = 0;
  for (size_t i = 0; i < count; ++i) {
    auto entry = ReadObjectSize(VariantArray(Child(sizes, i).get()));
    // The sums stay below 2^63, so that whoever adds the sizes up need not check for overflow.
    if (!entry || __builtin_add_overflow(archived, entry->archived, &archived) ||
        __builtin_add_overflow(unpacked, entry->unpacked, &unpacked) || archived > INT64_MAX ||
        unpacked > INT64_MAX) {
      return Fail(Code::kNotTrusted,
                  "commit metadata: {}: element {}: expected a checksum, two sizes and an object "
                  "type",
                  kSizesKey, i);
    }
    entries.push_back(*entry);
  }
  auto key = [](const ObjectSize& entry) { return std::pair(entry.checksum, entry.type); };
  std::ranges::sort(entries, {}, key);
  if (std::ranges::adjacent_find(entries, {}, key) != entries.end()) {
    return Fail(Code::kNotTrusted, "commit metadata: {}: an object is there twice", kSizesKey);
  }
  return entries;
}

Result<std::vector<uint32_t>> ReadLayout(GVariant* layout) {
  gsize count = 0;
  const auto* starts =
      static_cast<const uint32_t*>(g_variant_get_fixed_array(layout, &count, sizeof(uint32_t)));
  if (count == 0)
    return Fail(Code::kNotTrusted, "commit metadata: {}: expected places, found none", kLayoutKey);
  std::vector<uint32_t> host(starts, starts + count);
  for (uint32_t& start : host) start = GUINT32_FROM_LE(start);
  return host;
}

Result<Release> ReadRelease(const Dictionary& metadata) {
  Release release;
  release.version = TRY(metadata.Name("hostos.version"));
  release.architecture = TRY(metadata.Name("hostos.architecture"));
  release.channel = TRY(metadata.Name("hostos.channel"));
  release.seal_format =
      GUINT32_FROM_LE(g_variant_get_uint32(TRY(metadata.Get("hostos.seal-format", "u")).get()));
  release.root_hash = TRY(metadata.Hash("hostos.root-hash"));
  release.image_size = TRY(metadata.Size("hostos.image-size"));
  release.verity_size = TRY(metadata.Size("hostos.verity-size"));
  release.uki_digest = TRY(metadata.Hash("hostos.uki-sha256"));
  release.uki_size = TRY(metadata.Size("hostos.uki-size"));
  // A release may bring no rescue, but not half of one.
  if (metadata.Has(kRescueDigestKey) || metadata.Has(kRescueSizeKey)) {
    RescueImage& rescue = release.rescue.emplace();
    rescue.digest = TRY(metadata.Hash(kRescueDigestKey));
    rescue.size = TRY(metadata.Size(kRescueSizeKey));
  }
  VariantRef packages = TRY(metadata.Get("hostos.packages", "a(ss)"));
  for (size_t i = 0; i < g_variant_n_children(packages.get()); ++i) {
    const char *name = nullptr, *version = nullptr;
    g_variant_get_child(packages.get(), i, "(&s&s)", &name, &version);
    release.packages.emplace_back(name, version);
  }
  return release;
}

}  // namespace

Result<Commit> ParseCommit(std::string_view bytes) {
  if (bytes.size() > kMaxCommitBytes) {
    return Fail(Code::kNotTrusted, "commit: expected at most {} bytes, found {}", kMaxCommitBytes,
                bytes.size());
  }
  VariantRef variant = VariantFromBytes(kCommitType, bytes);
  if (!g_variant_is_normal_form(variant.get())) {
    return Fail(Code::kNotTrusted,
                "commit: expected an OSTree commit object, found {} bytes that "
                "are none",
                bytes.size());
  }
  Dictionary metadata = TRY(Dictionary::Read(Child(variant.get(), 0)));
  Commit commit;
  commit.release = TRY(ReadRelease(metadata));
  commit.release.commit = Sha256::Of(AsBytes(bytes));
  commit.release.timestamp = GUINT64_FROM_BE(g_variant_get_uint64(Child(variant.get(), 5).get()));
  commit.root_dirtree = TRY(ReadChecksum(Child(variant.get(), 6).get(), "root dirtree"));
  commit.root_dirmeta = TRY(ReadChecksum(Child(variant.get(), 7).get(), "root dirmeta"));
  VariantRef sizes = TRY(metadata.Get(kSizesKey, "aay"));
  commit.sizes = TRY(ReadSizes(sizes.get()));
  if (commit.release.seal_format == 2) {
    const VariantRef layout = TRY(metadata.Get(kLayoutKey, "au"));
    commit.layout = TRY(ReadLayout(layout.get()));
  }
  return commit;
}

Result<SignedCommit> ParseSignedCommit(std::string bytes, std::string signatures) {
  SignedCommit commit{TRY(ParseCommit(bytes)), {}, {}};
  commit.bytes = std::move(bytes);
  commit.signatures = std::move(signatures);
  return commit;
}

bool IsValidName(std::string_view name) {
  auto alphanumeric = [](char c) { return g_ascii_isalnum(c); };
  return !name.empty() && name.size() <= 29 && alphanumeric(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return alphanumeric(c) || c == '.' || c == '-'; });
}

std::string ChannelRef(const std::string& architecture, const std::string& channel) {
  return std::format("hostos/{}/{}", architecture, channel);
}

std::string ReleaseRef(const std::string& architecture, const std::string& version) {
  return std::format("hostos/{}/releases/{}", architecture, version);
}

const char* SignaturesKey(Algorithm algorithm) {
  return algorithm == Algorithm::kEd25519 ? "ostree.sign.ed25519" : "ostree.sign.spki";
}

Result<std::vector<Signature>> ReadSignatures(std::string_view detached) {
  std::vector<Signature> signatures;
  if (detached.empty()) return signatures;
  VariantRef metadata = VariantFromBytes("a{sv}", detached);
  if (detached.size() > kMaxDetachedBytes || !g_variant_is_normal_form(metadata.get())) {
    return Fail(Code::kNotTrusted,
                "signatures: expected OSTree detached metadata of at most {} bytes, found {} bytes "
                "that are none",
                kMaxDetachedBytes, detached.size());
  }
  for (Algorithm algorithm : kAlgorithms) {
    const char* key = SignaturesKey(algorithm);
    auto value = VariantRef::Adopt(g_variant_lookup_value(metadata.get(), key, nullptr));
    if (!value) continue;
    if (!g_variant_is_of_type(value.get(), G_VARIANT_TYPE("aay"))) {
      return Fail(Code::kNotTrusted, "signatures: {}: expected type 'aay', found '{}'", key,
                  g_variant_get_type_string(value.get()));
    }
    const size_t count = signatures.size() + g_variant_n_children(value.get());
    if (count > kMaxSignatures)
      return Fail(Code::kNotTrusted, "signatures: expected at most {}, found {}", kMaxSignatures,
                  count);
    for (size_t i = 0; i < g_variant_n_children(value.get()); ++i)
      signatures.push_back({algorithm, std::string(VariantArray(Child(value.get(), i).get()))});
  }
  return signatures;
}

Result<uint32_t> CountSigners(std::string_view data, std::span<const Signature> signatures,
                              std::span<const PublicKey> trusted, const SignatureRule& rule) {
  const std::vector<PublicKey> signers = ValidSigners(trusted, data, signatures);
  const uint32_t required = std::max<uint32_t>(rule.required, 1);
  uint32_t fewest = UINT32_MAX;
  for (Algorithm algorithm : kAlgorithms) {
    if (!Demands(rule.policy, algorithm)) continue;
    uint32_t valid = 0;
    std::string names;
    for (const PublicKey& signer : signers) {
      if (signer.algorithm != algorithm) continue;
      names += (valid++ == 0 ? ": " : ", ") + signer.name;
    }
    if (valid < required) {
      return Fail(
          Code::kNotTrusted,
          "expected {} signatures by at least {} trusted keys, found {}{} ({} such signatures "
          "there, {} such trusted keys here)",
          Name(algorithm), required, valid, names,
          std::ranges::count(signatures, algorithm, &Signature::algorithm),
          std::ranges::count(trusted, algorithm, &PublicKey::algorithm));
    }
    fewest = std::min(fewest, valid);
  }
  return fewest;
}

Result<uint32_t> VerifyCommit(std::string_view commit, std::string_view detached,
                              std::span<const PublicKey> trusted, const SignatureRule& rule) {
  return CountSigners(commit, TRY(ReadSignatures(detached)), trusted, rule);
}

std::string ObjectPath(const Digest& checksum, std::string_view extension) {
  const std::string hex = checksum.Hex();
  return std::format("objects/{}/{}.{}", hex.substr(0, 2), hex.substr(2), extension);
}

std::string ObjectPath(const ObjectSize& object) {
  switch (object.type) {
    case ObjectType::kFile:
      return ObjectPath(object.checksum, "filez");
    case ObjectType::kDirtree:
      return ObjectPath(object.checksum, "dirtree");
    case ObjectType::kDirmeta:
      return ObjectPath(object.checksum, "dirmeta");
    case ObjectType::kCommit:
      break;
  }
  return ObjectPath(object.checksum, "commit");
}

}  // namespace hostos
