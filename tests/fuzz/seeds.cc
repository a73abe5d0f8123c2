// Writes the seeds of the fuzz targets: DIR/<target>/*, one good input per file.
#include <filesystem>
#include <iostream>

#include "images/publish/bundle_writer.h"
#include "tests/bootctl/disk_machine.h"
#include "tests/fuzz/fuzz.h"
#include "tests/source/release_fixture.h"
#include "tests/tuf/repository.h"
#include "updater/engine/post_mortem.h"
#include "updater/engine/verification.h"
#include "updater/release/changes.h"
#include "updater/release/delta_pack.h"
#include "updater/release/image_parts.h"
#include "updater/source/archive.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLargest = 256 << 10;

class Seeds {
 public:
  explicit Seeds(fs::path directory) : directory_(std::move(directory)) {}

  void Add(const std::string& target, std::string_view bytes) {
    fs::create_directories(directory_ / target);
    WriteText(directory_ / target / Sha256::Of(AsBytes(bytes)).Short(),
              std::string(bytes.substr(0, kLargest)));
  }

 private:
  const fs::path directory_;
};

// A pack whose frames are plain and empty zstd frames, raw and with a prefix.
void AddPack(Seeds& seeds) {
  using namespace std::string_view_literals;
  // Magic number, a frame of one segment, one last raw block (RFC 8878, 3.1.1).
  const std::string frame("\x28\xb5\x2f\xfd\x20\x05\x29\0\0hello"sv);
  const Digest base = Sha256::Of(AsBytes("base"));
  const PackFrame plain{.unpacked = 5, .packed = frame.size()};
  PackFrame prefixed = plain;
  prefixed.base = 1;
  prefixed.offset = 3;
  prefixed.length = 20;
  const PackIndex index{.bases = {base, Digest{}},
                        .objects = {{.place = 0, .frames = {plain, prefixed}, .copies = {}},
                                    {.place = 2, .frames = {plain}, .copies = {{2, 1}, {3, 2}}},
                                    {.place = 3, .frames = {prefixed}, .copies = {}}}};
  seeds.Add("delta_pack", WritePackIndex(index) + frame + frame + frame + frame);
  seeds.Add("delta_pack",
            WritePackIndex({.bases = {base}, .objects = {}}).substr(kPackHeaderBytes));
}

void AddParts(Seeds& seeds) {
  seeds.Add("image_parts", WriteImageHeader(Sha256::Of(AsBytes("MZ"))) +
                               WriteImagePart("MZ", "/usr/lib/a") + WriteImagePart("", "/absent"));
  const std::string whole = "PEthe content of a part.";
  seeds.Add("image_parts", WriteImageHeader(Sha256::Of(AsBytes(whole))) +
                               WriteImagePart("PE", "/usr/lib/a") + WriteImagePart(".", ""));
}

// Every kind of object of a published release.
void AddObjects(Seeds& seeds) {
  Publisher publisher;
  MakeOddTree(publisher.directory / "tree");
  publisher.Publish(publisher.directory / "tree", "1.0");
  for (const auto& entry : fs::recursive_directory_iterator(publisher.path + "/objects")) {
    if (!entry.is_regular_file() || entry.file_size() > kLargest) continue;
    const std::string kind = entry.path().extension().string().substr(1);
    seeds.Add(kind == "commitmeta" ? "signatures" : kind, ReadText(entry.path()));
  }
  for (const auto& entry : fs::directory_iterator(publisher.keys))
    seeds.Add("keys", ReadText(entry.path()));
  ReleaseTarget target = TargetOf(publisher.Describe("1.0"));
  target.index = 2;
  target.packs = {{Sha256::Of(AsBytes("1.0")), 1000}};
  target.sboms = {{"cdx", Sha256::Of(AsBytes("1.0")), 1000}};
  seeds.Add("release_target", WriteReleaseTarget(target));
  seeds.Add(
      "changes",
      WriteChanges(
          {.version = "1.1.0",
           .since = "2023-12-01",
           .sources = {
               {.name = "linux",
                .version = "6.12.118-1",
                .reaches = "6.1.1-1",
                .fixes = {
                    {"6.12.118-1", "2026-11-28", "high", {"CVE-2026-9001", "CVE-2026-99272"}}}}}}));
}

void AddBundle(Seeds& seeds) {
  const MemoryFile bundle(""), content("content of a file");
  BundleWriter writer(bundle.fd());
  const std::string deep = "targets/" + std::string(60, 'd') + "/" + std::string(60, 'n');
  for (const std::string& name : {std::string("metadata/1.root.json"), deep}) {
    if (::lseek(content.fd(), 0, SEEK_SET) != 0 || !writer.Add(name, content.fd(), 17))
      throw std::runtime_error("writing a bundle");
  }
  if (!writer.Finish()) throw std::runtime_error("writing a bundle");
  seeds.Add("bundle", ReadText(bundle.path()));
}

void AddBoot(Seeds& seeds) {
  const TestImage image("1.0.0");
  seeds.Add("uki", ReadText(image.path));
  const DiskMachine machine(image);
  seeds.Add("gpt", ReadText(machine.disk()).substr(0, 34 * 512));
  for (const char* name : {"hostos_1.0.0_0a1b2c3d.efi", "hostos_1.0.0_0a1b2c3d+3.efi",
                           "hostos_1.0.0_0a1b2c3d+2-1.efi", "x+007-0.efi", "arch+1-2-3.efi"})
    seeds.Add("entry_name", name);
  using namespace std::string_view_literals;
  for (const std::string_view versions :
       {"1.0.0\0001.0.1"sv, "2~rc1\0002"sv, "1.0^post\0001.0-1"sv})
    seeds.Add("version", versions);
  seeds.Add("loader_lines", "# comment\ndefault hostos*\ntimeout 3\n\ntitle\t HostOS  \n");
  seeds.Add("loader_lines", "ID=hostos\nIMAGE_VERSION=\"1.0.0\"\n");
}

void AddState(Seeds& seeds) {
  const ReleaseId release{"1.1.0", Sha256::Of(AsBytes("commit")), Sha256::Of(AsBytes("root"))};
  Record record;
  seeds.Add("record", ToJson(record));
  record.update = UpdateRecord{.phase = Phase::kTrial, .target = release, .from = release};
  record.update->attempts = {{"boot", 1}};
  record.update->failed_before = {"required/10-dns"};
  record.AddHistory({.release = release, .reason = "canary"});
  record.denied.push_back({release, 7, "canary", 3});
  seeds.Add("record", ToJson(record));
  PostMortem post_mortem{.release = release, .phase = "boot", .kernel = "Kernel panic"};
  post_mortem.checks = {{.name = "canary"}};
  post_mortem.traces = {{.boot_id = "boot", .log = "line\n"}};
  seeds.Add("post_mortem", ToJson(post_mortem));
  seeds.Add("verification", ToJson(Verification{7, release.root_hash, "block 12 differs"}));
  seeds.Add("config", ReadText(HOSTOS_SOURCE_DIR "/updater/hostctl/hostctl.toml"));
  seeds.Add("config", "[health]\nwindow = 5\n");
  seeds.Add("printable", "runc: \x1b[1mno\x1b[0m\r\n\tr\xc3\xa4t\xff\n");
  using namespace std::string_view_literals;
  // A SETTINGS frame and its acknowledgement (RFC 9113, 6.5), and HTTP/1.
  seeds.Add("containerd", "\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0"sv);
  seeds.Add("containerd", "HTTP/1.1 400 Bad Request\r\n\r\n");
  seeds.Add("seal", std::string(300, 'a') + "usr\\bin\\" + std::string(40, '\1'));
}

// Metadata of each role, signed by keys of every kind, with delegations of every form.
void AddTuf(Seeds& seeds) {
  tuf::Repository repository;
  repository.AddKey("root", tuf::TestKey(tuf::TestKey::Kind::kEcdsa));
  repository.AddKey("root", tuf::TestKey(tuf::TestKey::Kind::kRsa));
  repository.AddTarget("targets", "dir/file", "content");
  repository.Delegate("targets", "a", {"*", "dir/?"}, /*terminating=*/true);
  repository.Delegate("targets", "b");
  tuf::Json& role = repository["targets"]["delegations"]["roles"][1];
  role.erase("paths");
  role["path_hash_prefixes"] = {"00", "f"};
  repository.with_hashes = true;
  repository.Publish({"root", "a", "b", "targets", "snapshot", "timestamp"});
  repository["targets"]["delegations"] = {{"keys", tuf::Json::object()},
                                          {"succinct_roles",
                                           {{"keyids", tuf::Json::array()},
                                            {"threshold", 1},
                                            {"bit_length", 8},
                                            {"name_prefix", "bin"}}}};
  repository.Publish({"targets"});
  for (const auto& [name, file] : repository.metadata.files) seeds.Add("tuf_metadata", file);
  seeds.Add("tuf_metadata", R"([{"\u00e4\n\"\\": [1, -2, true, null]}, {}, []])");
}

// The answers of a fetching process to each call in turn, in its frames.
void AddFetch(Seeds& seeds) {
  auto add = [&](std::initializer_list<std::string_view> messages) {
    std::string frames;
    for (const std::string_view message : messages) {
      frames += {static_cast<char>(message.size()), 0, 0, 0};
      frames += message;
    }
    seeds.Add("fetch", frames);
  };
  add({R"({"done":1,"total":2})", R"({"files":["metadata/2.root.json"]})", "{}",
       R"({"bytes":4096})", R"({"objects":1,"download":2,"unpacked":3,"reused":0,"packed":true})"});
  add({R"({"error":5,"message":"no such host"})", R"({"error":77,"message":"\u001b"})", "[]", ""});
}

}  // namespace
}  // namespace hostos

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: fuzz_seeds DIR\n";
    return 2;
  }
  hostos::Seeds seeds(argv[1]);
  hostos::AddObjects(seeds);
  hostos::AddPack(seeds);
  hostos::AddParts(seeds);
  hostos::AddBundle(seeds);
  hostos::AddBoot(seeds);
  hostos::AddState(seeds);
  hostos::AddTuf(seeds);
  hostos::AddFetch(seeds);
}
