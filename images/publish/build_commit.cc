#include "images/publish/build_commit.h"

#include <algorithm>

#include "updater/release/glib.h"
#include "updater/release/varint.h"

namespace hostos {
namespace {

std::string SizeElement(const ObjectSize& size) {
  std::string bytes(size.checksum.bytes.begin(), size.checksum.bytes.end());
  AppendVarint(bytes, size.archived);
  AppendVarint(bytes, size.unpacked);
  bytes += static_cast<char>(size.type);
  return bytes;
}

Result<> CheckRelease(const Release& release) {
  for (const auto& [key, name] :
       {std::pair("version", release.version), std::pair("architecture", release.architecture),
        std::pair("channel", release.channel)}) {
    if (!IsValidName(name)) {
      return Fail(Code::kUsage, "{}: expected {}, found '{}'", key, kNameRule, name);
    }
  }
  for (const auto& [name, version] : release.packages) {
    if (!g_utf8_validate(name.c_str(), -1, nullptr) ||
        !g_utf8_validate(version.c_str(), -1, nullptr)) {
      return Fail(Code::kUsage, "package {} {}: expected UTF-8", name, version);
    }
  }
  return {};
}

}  // namespace

Result<std::string> BuildCommit(const Commit& commit) {
  const Release& release = commit.release;
  TRY(CheckRelease(release));
  GVariantBuilder packages, sizes, metadata;
  g_variant_builder_init(&packages, G_VARIANT_TYPE("a(ss)"));
  for (const auto& [name, version] : release.packages) {
    g_variant_builder_add(&packages, "(ss)", name.c_str(), version.c_str());
  }
  g_variant_builder_init(&sizes, G_VARIANT_TYPE("aay"));
  for (const ObjectSize& size : commit.sizes) {
    g_variant_builder_add_value(&sizes, NewByteArray(SizeElement(size)));
  }
  auto text = [](const std::string& value) { return g_variant_new_string(value.c_str()); };
  auto size = [](uint64_t value) { return g_variant_new_uint64(GUINT64_TO_LE(value)); };
  g_variant_builder_init(&metadata, G_VARIANT_TYPE_VARDICT);
  auto add = [&](const char* key, GVariant* value) {
    g_variant_builder_add(&metadata, "{sv}", key, value);
  };
  add("version", text(release.version));  // shown by `ostree show`
  add("hostos.version", text(release.version));
  add("hostos.architecture", text(release.architecture));
  add("hostos.channel", text(release.channel));
  add("hostos.seal-format", g_variant_new_uint32(GUINT32_TO_LE(release.seal_format)));
  add("hostos.root-hash", text(release.root_hash.Hex()));
  add("hostos.image-size", size(release.image_size));
  add("hostos.verity-size", size(release.verity_size));
  add("hostos.uki-sha256", text(release.uki_digest.Hex()));
  add("hostos.uki-size", size(release.uki_size));
  if (release.rescue) {
    add(kRescueDigestKey, text(release.rescue->digest.Hex()));
    add(kRescueSizeKey, size(release.rescue->size));
  }
  add("hostos.packages", g_variant_builder_end(&packages));
  add(kSizesKey, g_variant_builder_end(&sizes));
  if (!commit.layout.empty()) {
    GVariantBuilder layout;
    g_variant_builder_init(&layout, G_VARIANT_TYPE("au"));
    for (const uint32_t start : commit.layout)
      g_variant_builder_add(&layout, "u", GUINT32_TO_LE(start));
    add(kLayoutKey, g_variant_builder_end(&layout));
  }
  auto checksum = [](const Digest& digest) {
    return NewByteArray({reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()});
  };
  GVariant* no_related = g_variant_new_array(G_VARIANT_TYPE("(say)"), nullptr, 0);
  auto variant = VariantRef::Retain(
      g_variant_new("(@a{sv}@ay@a(say)sst@ay@ay)", g_variant_builder_end(&metadata),
                    /*parent=*/NewByteArray(""), no_related, ("HostOS " + release.version).c_str(),
                    /*body=*/"", GUINT64_TO_BE(release.timestamp), checksum(commit.root_dirtree),
                    checksum(commit.root_dirmeta)));
  return std::string(VariantBytes(variant.get()));
}

Result<std::string> AddSignatures(std::string_view detached, std::span<const Signature> add) {
  std::vector<Signature> signatures = TRY(ReadSignatures(detached));
  for (const Signature& signature : add) {
    if (!std::ranges::contains(signatures, signature)) signatures.push_back(signature);
  }
  VariantRef old = VariantFromBytes("a{sv}", detached);
  GVariantDict dict;
  g_variant_dict_init(&dict, detached.empty() ? nullptr : old.get());
  for (Algorithm algorithm : kAlgorithms) {
    if (!std::ranges::contains(signatures, algorithm, &Signature::algorithm)) continue;
    GVariantBuilder array;
    g_variant_builder_init(&array, G_VARIANT_TYPE("aay"));
    for (const Signature& signature : signatures)
      if (signature.algorithm == algorithm)
        g_variant_builder_add_value(&array, NewByteArray(signature.bytes));
    g_variant_dict_insert_value(&dict, SignaturesKey(algorithm), g_variant_builder_end(&array));
  }
  auto metadata = VariantRef::Retain(g_variant_dict_end(&dict));
  std::string bytes(VariantBytes(metadata.get()));
  TRY(ReadSignatures(bytes));  // what was added can be read again
  return bytes;
}

}  // namespace hostos
