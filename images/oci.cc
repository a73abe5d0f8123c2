#include "images/oci.h"

#include <sys/stat.h>

#include <map>
#include <nlohmann/json.hpp>

#include "images/tar_writer.h"
#include "updater/base/clock.h"

namespace hostos {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string Named(const Digest& digest) {
  return "sha256:" + digest.Hex();
}

OrderedJson Descriptor(std::string_view type, const Digest& digest, uint64_t size) {
  return {{"mediaType", std::format("application/vnd.oci.image.{}", type)},
          {"digest", Named(digest)},
          {"size", size}};
}

OrderedJson Descriptor(std::string_view type, const std::string& text) {
  return Descriptor(type, Sha256::Of(AsBytes(text)), text.size());
}

}  // namespace

std::string BlobPath(const Digest& digest) {
  return "blobs/sha256/" + digest.Hex();
}

OciDocuments DescribeOci(const Release& release, const OciLayer& layer) {
  const std::string created = FormatTimeIso(release.timestamp);
  const OrderedJson about = {{"org.opencontainers.image.title", "HostOS"},
                             {"org.opencontainers.image.version", release.version},
                             {"org.opencontainers.image.revision", release.commit.Hex()},
                             {"org.opencontainers.image.created", created},
                             {"hostos.channel", release.channel},
                             {"hostos.root-hash", release.root_hash.Hex()}};
  const OrderedJson platform = {
      {"architecture", release.architecture == "x86-64" ? "amd64" : release.architecture},
      {"os", "linux"}};

  OrderedJson config = {{"created", created}};
  config.update(platform);
  config["config"] = {
      {"Env", {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
      {"Cmd", {"/bin/bash"}},
      {"Labels", about}};
  config["rootfs"] = {{"type", "layers"}, {"diff_ids", {Named(layer.diff_id)}}};
  config["history"] =
      OrderedJson::array({{{"created", created}, {"created_by", "hostimage images"}}});

  OciDocuments documents = {.config = config.dump(), .manifest = {}, .index = {}};
  const OrderedJson manifest = {
      {"schemaVersion", 2},
      {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
      {"config", Descriptor("config.v1+json", documents.config)},
      {"layers", OrderedJson::array({Descriptor("layer.v1.tar+gzip", layer.digest, layer.size)})},
      {"annotations", about}};
  documents.manifest = manifest.dump();
  OrderedJson described = Descriptor("manifest.v1+json", documents.manifest);
  described["platform"] = platform;
  described["annotations"] = {{"org.opencontainers.image.ref.name", release.version}};
  const OrderedJson index = {{"schemaVersion", 2},
                             {"mediaType", "application/vnd.oci.image.index.v1+json"},
                             {"manifests", OrderedJson::array({described})}};
  documents.index = index.dump();
  return documents;
}

Result<> WriteOciArchive(const std::string& path, const Release& release, const OciLayer& layer,
                         const std::string& layer_file) {
  const Metadata directory = {.uid = 0, .gid = 0, .mode = S_IFDIR | 0755, .xattrs = {}};
  const Metadata file = {.uid = 0, .gid = 0, .mode = S_IFREG | 0644, .xattrs = {}};
  const OciDocuments documents = DescribeOci(release, layer);
  std::map<std::string, std::string> texts;
  for (const std::string& document : {documents.config, documents.manifest})
    texts[BlobPath(Sha256::Of(AsBytes(document)))] = document;
  TarWriter tar = TRY(TarWriter::Create(path, release.timestamp));
  TRY(tar.AddText("oci-layout", file, kOciLayout));
  TRY(tar.AddText("index.json", file, documents.index));
  TRY(tar.AddDirectory("blobs", directory));
  TRY(tar.AddDirectory("blobs/sha256", directory));
  for (const auto& [name, text] : texts) TRY(tar.AddText(name, file, text));
  const UniqueFd content = TRY(Open(layer_file, O_RDONLY));
  TRY(tar.AddFile(BlobPath(layer.digest), file, content.get(), layer.size));
  return tar.Finish();
}

}  // namespace hostos
