// What people download of a release, judged by the tools that they use: qemu-img, skopeo, umoci,
// sha256sum and dpkg.
#include "images/release_images.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "images/program.h"
#include "images/verify_image.h"
#include "tests/held.h"
#include "tests/images/small_release.h"
#include "tests/source/release_fixture.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStem = "hostos-1.0.0-x86-64";
constexpr uint64_t kMib = 1 << 20;

std::string Output(const std::vector<std::string>& words) {
  return Held(RunProgram(words));
}

std::vector<ImageFormat> AllFormats() {
  std::vector<ImageFormat> formats;
  for (const ImageFormatFacts& facts : kImageFormats)
    if (facts.format != ImageFormat::kRaw) formats.push_back(facts.format);
  return formats;
}

ImagesOptions Options(const std::string& output,
                      const std::vector<ImageFormat>& formats = AllFormats()) {
  return {.output = output,
          .formats = formats,
          .disk = {.output = "",
                   .format = DiskFormat::kRaw,
                   .definitions = REPART_DEFINITIONS,
                   .rescue = "",
                   .esp_size = 64 << 20,
                   .slot_size = 32 << 20,
                   .verity_size = 8 << 20,
                   .state_size = 32 << 20}};
}

Result<ReleaseImages> Make(const SmallRelease& small, const ImagesOptions& options,
                           const std::string& key = "ci.pem") {
  NoProgress progress;
  return MakeImages(small.Query(), options, Held(SecretKey::Load(small / key)), progress);
}

// A release with what matters to containers: a kernel's package, links into /var, capabilities.
void Furnish(const SmallRelease& small) {
  const std::string root = small / "root", dpkg = root + "/usr/lib/sysimage/dpkg";
  WriteText(dpkg + "/status",
            ReadText(dpkg + "/status") +
                "\nPackage: linux-image-6.12.0-small\nStatus: install ok installed\n"
                "Architecture: amd64\nVersion: 6.12.0-1\n");
  WriteText(dpkg + "/info/linux-image-6.12.0-small.list", "/.\n");
  WriteText(root + "/var/lib/dpkg/status", ReadText(dpkg + "/status"));
  fs::create_symlink("var/roothome", root + "/root");
  fs::create_symlink("../var/usrlocal", root + "/usr/local");
  WriteText(root + "/usr/share/sbom/hostos.spdx.json", "{}");
  WriteText(root + "/usr/share/Főtanúsítvány", "x");
  fs::create_directory(root + "/efi");
}

// One release in every format, made once for all tests that only read it, beside its raw disk.
struct Made {
  SmallRelease small;
  Release release;
  ReleaseImages images;

  static const Made& Once() {
    static const Made made;
    return made;
  }
  std::string Path(const std::string& suffix) const { return small / "images/" + kStem + suffix; }
  std::string raw() const { return small / "disk.raw"; }

 private:
  Made() {
    Furnish(small);
    small.BringRescue();
    release = Held(small.Commit());
    images = Held(Make(small, Options(small / "images")));
    DiskOptions disk = Options("").disk;
    disk.output = raw();
    NoProgress progress;
    Held(MakeDisk(small.Query(), disk, progress));
  }
};

Result<Release> Verify(const ImageQuery& query) {
  NoProgress progress;
  std::vector<Proof> proofs;
  return VerifyImage(query, progress, proofs);
}

ImageQuery Query(const Made& made, const std::string& path) {
  return {.path = path,
          .name = "",
          .repo = made.small / "repo",
          .keys = {made.small / "keys"},
          .signatures = {}};
}

// A copy of an image and of the signed list, in a directory of its own.
std::string Copy(const TempDir& directory, const std::string& path) {
  const fs::path image(path);
  for (const fs::directory_entry& entry : fs::directory_iterator(image.parent_path()))
    if (entry.path().filename().string().starts_with(kSumsFile))
      fs::copy(entry, directory.path(), fs::copy_options::overwrite_existing);
  const std::string copy = directory / image.filename();
  Output({"cp", "--sparse=always", path, copy});
  return copy;
}

void CheckRefused(const ImageQuery& query, const std::string& message,
                  Code code = Code::kNotTrusted) {
  const auto refused = Verify(query);
  REQUIRE_FALSE(refused);
  INFO(refused.error().message);
  CHECK(refused.error().code == code);
  CHECK(refused.error().message.contains(message));
}

TEST_CASE("every format of a disk is whole, and has the bytes of the raw one") {
  const Made& made = Made::Once();
  const std::string& raw = made.raw();
  CHECK(fs::file_size(raw) % kMib == 0);
  Output({"sfdisk", "--verify", raw});
  for (const char* format : {"qcow2", "vhdx", "vmdk"}) {
    CAPTURE(format);
    const std::string path = made.Path(std::string(".") + format);
    Output({"qemu-img", "check", "-f", format, path});
    Output({"qemu-img", "compare", "-f", "raw", "-F", format, raw, path});
  }
  Output({"qemu-img", "compare", "-f", "raw", "-F", "vpc", raw, made.Path(".vhd")});
  Output({"zstd", "-q", "-d", "--sparse", made.Path(".raw.zst"), "-o", made.small / "unpacked"});
  Output({"cmp", raw, made.small / "unpacked"});
  // Azure: fixed, whole MiB, and the footer behind them.
  CHECK(fs::file_size(made.Path(".vhd")) == fs::file_size(raw) + 512);
  CHECK(Output({"qemu-img", "info", made.Path(".vmdk")}).contains("streamOptimized"));
  CHECK(Output({"qemu-img", "info", made.Path(".qcow2")}).contains("compression type: zstd"));
}

TEST_CASE("the same release gives the same images, all but VHDX") {
  const Made& made = Made::Once();
  const ReleaseImages again = Held(Make(made.small, Options(made.small / "again")));
  REQUIRE(again.images.size() == AllFormats().size());
  for (size_t i = 0; i < again.images.size(); i++) {
    CAPTURE(again.images[i].file.name);
    const bool same = again.images[i].file.digest == made.images.images[i].file.digest;
    CHECK(same == (again.images[i].format != ImageFormat::kVhdx));
  }
  fs::remove_all(made.small / "again");
}

TEST_CASE("sha256sum checks the list of images, and openssl both of its signatures") {
  const Made& made = Made::Once();
  const std::string images = made.small / "images";
  CHECK(Shell("cd " + images + " && sha256sum --strict --check SHA256SUMS").status == 0);
  const auto lines = ReadText(images + "/SHA256SUMS");
  CHECK(std::ranges::count(lines, '\n') == static_cast<long>(AllFormats().size()));
  // As docs/images.md has it, whose commands "docs: ..." runs word for word.
  WriteText(made.small / "ed25519.pem",
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA" +
                Output({"grep", "-m1", "=$", made.small / "keys/ci.pub"}) +
                "-----END PUBLIC KEY-----\n");
  const std::pair<std::string, std::string> signatures[] = {
      {"ed25519", made.small / "ed25519.pem"}, {"ml-dsa-65", made.small / "keys/ci.pub"}};
  for (const auto& [name, key] : signatures) {
    CAPTURE(name);
    const auto verify = [&](const std::string& file) {
      return RunProgram({"openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", key, "-in",
                         file, "-sigfile", images + "/SHA256SUMS." + name + ".sig"});
    };
    CHECK(verify(images + "/SHA256SUMS"));
    WriteText(made.small / "other", lines + " ");
    CHECK_FALSE(verify(made.small / "other"));
  }
}

TEST_CASE("every image is proven down to the root hash") {
  const Made& made = Made::Once();
  const std::vector<std::string> disk = {"file",      "format", "signatures", "release",
                                         "root hash", "uki",    "rescue"};
  const std::vector<std::string> container = {"file",  "format",  "signatures", "release",
                                              "sizes", "objects", "image",      "root hash",
                                              "uki",   "rescue",  "files"};
  for (const ImageFormat format : AllFormats()) {
    CAPTURE(FactsOf(format).name);
    std::vector<Proof> proofs;
    NoProgress progress;
    ImageQuery query = Query(made, made.Path(std::string(FactsOf(format).suffix)));
    if (IsDisk(format)) query.repo = "";
    const auto release = VerifyImage(query, progress, proofs);
    INFO((release ? "" : release.error().message));
    REQUIRE(release);
    CHECK(release->commit == made.release.commit);
    std::vector<std::string> names;
    for (const Proof& proof : proofs) names.push_back(proof.name);
    CHECK(names == (IsDisk(format) ? disk : container));
    for (const Proof& proof : proofs)
      if (proof.name == "root hash") CHECK(proof.detail.starts_with(made.release.root_hash.Hex()));
  }
  // What `disk` makes has no list.
  ImageQuery plain = Query(made, made.raw());
  CheckRefused(plain, "--release-only", Code::kNotFound);
  plain.release_only = true;
  CHECK(Verify(plain));
}

TEST_CASE("an image that was cut short is refused, in every format") {
  const Made& made = Made::Once();
  for (const ImageFormat format : AllFormats()) {
    CAPTURE(FactsOf(format).name);
    const TempDir directory;
    ImageQuery query = Query(made, Copy(directory, made.Path(std::string(FactsOf(format).suffix))));
    // A cut of one block leaves most of a container's archive, but not its end.
    for (const uint64_t left : {fs::file_size(query.path) - 512, fs::file_size(query.path) / 2}) {
      CAPTURE(left);
      fs::resize_file(query.path, left);
      query.release_only = false;
      CheckRefused(query, "cut short");
      // Without the list, a disk that lost only free space behind the release is still proven.
      query.release_only = true;
      if (left == fs::file_size(made.Path(std::string(FactsOf(format).suffix))) / 2)
        CheckRefused(query, query.path);
    }
  }
}

TEST_CASE("an image under the name of another format is refused") {
  const Made& made = Made::Once();
  for (const ImageFormat format : AllFormats())
    for (const char* other : {".raw", ".qcow2", ".oci.tar"}) {
      if (other == FactsOf(format).suffix) continue;
      const TempDir directory;
      const std::string copy = directory / (std::string(kStem) + other);
      fs::create_symlink(made.Path(std::string(FactsOf(format).suffix)), copy);
      CheckRefused(Query(made, copy), std::format("found {}", FactsOf(format).name));
    }
  const TempDir directory;
  WriteText(directory / "text.qcow2", "text");
  CheckRefused(Query(made, directory / "text.qcow2"), "found none of the formats");
  WriteText(directory / "image.iso", "text");
  CheckRefused(Query(made, directory / "image.iso"), "ends with one of .raw.zst", Code::kUsage);
}

TEST_CASE("a flipped bit in an image, its list or a signature is found") {
  const Made& made = Made::Once();
  for (const ImageFormat format : AllFormats()) {
    CAPTURE(FactsOf(format).name);
    const TempDir directory;
    const std::string copy = Copy(directory, made.Path(std::string(FactsOf(format).suffix)));
    ChangeByte(copy, static_cast<long>(fs::file_size(copy) / 2));
    CheckRefused(Query(made, copy), "expected SHA-256");
  }
  for (const char* file : {"SHA256SUMS", "SHA256SUMS.ed25519.sig", "SHA256SUMS.ml-dsa-65.sig"}) {
    CAPTURE(file);
    const TempDir directory;
    const std::string copy = Copy(directory, made.Path(".qcow2"));
    ChangeByte(directory / file, 10);
    CheckRefused(Query(made, copy), "expected");
    fs::remove(directory / file);
    const auto lacking = Verify(Query(made, copy));
    CHECK_FALSE(lacking);
  }
}

TEST_CASE("what a disk image holds is proven without its list, but for the boot loader") {
  const Made& made = Made::Once();
  const nlohmann::json table = nlohmann::json::parse(Output({"sfdisk", "--json", made.raw()}));
  const auto start = [&](int partition) {
    return table["partitiontable"]["partitions"][partition]["start"].get<long>() * 512;
  };
  const TempDir directory;
  const std::string copy = directory / "disk.raw";
  ImageQuery query = Query(made, copy);
  query.release_only = true;
  const auto fresh = [&] { Output({"cp", "--sparse=always", made.raw(), copy}); };
  fresh();
  CHECK(Verify(query));

  ChangeByte(copy, start(1) + 100'000);
  CheckRefused(query, "expected the digest");
  fresh();
  ChangeByte(copy, start(2) + 5000);
  CheckRefused(query, copy);

  const std::string esp = std::format("{}@@{}", copy, start(0));
  const std::string files = Output({"mdir", "-b", "-i", esp, "::/EFI/Linux"});
  const std::string entry = files.substr(0, files.find('\n'));
  fresh();
  WriteText(directory / "other", "x");
  Output({"mcopy", "-o", "-i", esp, directory / "other", entry});
  CheckRefused(query, "as signed, found others");
  fresh();
  Output({"mcopy", "-i", esp, directory / "other", "::/EFI/Linux/zz.efi"});
  CheckRefused(query, "found /efi");
  fresh();
  Output({"debugfs", "-w", "-R", "rm /lib/hostos/commits/" + made.release.commit.Hex() + ".commit",
          std::format("{}?offset={}", copy, start(5))});
  CheckRefused(query, "expected one commit");
  fresh();
  query.name = ReleaseRef("x86-64", "1.0.1");
  CheckRefused(query, "expected hostos/x86-64/releases/1.0.1, found release 1.0.0");
}

TEST_CASE("an image signed by somebody else is refused") {
  const Made& made = Made::Once();
  const SmallRelease other;
  Held(other.Commit());
  Held(Make(other, Options(other / "images", {ImageFormat::kQcow2, ImageFormat::kOci})));
  for (const char* suffix : {".qcow2", ".oci.tar"}) {
    CAPTURE(suffix);
    ImageQuery query = Query(made, other / "images/" + kStem + suffix);
    CheckRefused(query, "signatures by at least 1 trusted keys, found 0");
    query.release_only = true;
    CheckRefused(query, "");
  }
}

TEST_CASE("an image whose tool would read other files is refused") {
  const Made& made = Made::Once();
  const TempDir directory;
  ImageQuery query = Query(made, directory / "image.qcow2");
  query.release_only = true;
  Output({"qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", made.raw(), query.path});
  CheckRefused(query, "names others");
  fs::remove(query.path);
  Output({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=" + (directory / "data"),
          query.path, "8M"});
  CheckRefused(query, "names others");
  fs::remove(query.path);
  Output({"qemu-img", "create", "-q", "-f", "qcow2", query.path, "2T"});
  CheckRefused(query, "expected a disk of at most");
}

TEST_CASE("skopeo and umoci take the OCI image, which has no kernel and says so to dpkg") {
  const Made& made = Made::Once();
  const TempDir directory;
  const std::string archive = "oci-archive:" + made.Path(".oci.tar");
  const auto about = nlohmann::json::parse(Output({"skopeo", "inspect", archive}));
  CHECK(about["Architecture"] == "amd64");
  CHECK(about["Labels"]["org.opencontainers.image.revision"] == made.release.commit.Hex());
  Output({"skopeo", "copy", "-q", archive, "oci:" + (directory / "layout") + ":1.0.0"});
  Output({"umoci", "unpack", "--image", directory / "layout:1.0.0", directory / "bundle"});
  const std::string root = directory / "bundle/rootfs";
  for (const char* absent : {"boot", "efi", "usr/lib/modules", "usr/lib/hostos/rescue.efi",
                             "usr/share/sbom", "etc/wsl.conf", "ostree"})
    CHECK_FALSE(fs::exists(root + "/" + absent));
  CHECK(fs::is_directory(fs::symlink_status(root + "/var/lib/dpkg/info")));
  CHECK(fs::read_symlink(root + "/usr/lib/sysimage/dpkg") == "../../../var/lib/dpkg");
  CHECK(fs::is_regular_file(fs::symlink_status(root + "/var/lib/dpkg/status")));
  CHECK(Output({"dpkg-query", "--admindir=" + root + "/var/lib/dpkg", "-W", "-f=${Package} "}) ==
        "alpha gone zeta ");
  CHECK((fs::status(root + "/root/.").permissions() & fs::perms::all) == fs::perms::owner_all);
  CHECK(fs::is_directory(root + "/usr/local/."));
  CHECK((fs::status(root + "/usr/bin/tool").permissions() & fs::perms::set_uid) ==
        fs::perms::set_uid);
  CHECK(ReadText(root + "/usr/share/Főtanúsítvány") == "x");
  for (const char* same : {"usr/share/large", "usr/lib/os-release", "etc/empty"})
    CHECK(SameFiles(root + "/" + same, made.small / "root/" + same));
}

TEST_CASE("the WSL root starts systemd, and leaves disks and network to Windows") {
  const Made& made = Made::Once();
  const TempDir directory;
  Output({"tar", "-C", directory.path(), "-xzf", made.Path(".wsl")});
  CHECK(ReadText(directory / "etc/wsl.conf").contains("systemd=true"));
  CHECK(ReadText(directory / "etc/wsl-distribution.conf").contains("defaultUid=0"));
  CHECK(fs::read_symlink(directory / "etc/systemd/system/hostos-health-gate.service") ==
        "/dev/null");
  CHECK_FALSE(fs::exists(directory / "usr/lib/modules"));
}

TEST_CASE("a preview says so in the names of its images") {
  SmallRelease small;
  const std::string os_release = small / "root/usr/lib/os-release";
  WriteText(os_release, ReadText(os_release) + "RELEASE_TYPE=development\n");
  Held(small.Commit());
  const ReleaseImages made = Held(Make(small, Options(small / "images", {ImageFormat::kWsl})));
  CHECK(made.images[0].file.name == "hostos-1.0.0-preview-x86-64.wsl");
  ImageQuery query = {.path = small / "images/hostos-1.0.0-preview-x86-64.wsl",
                      .name = "",
                      .repo = small / "repo",
                      .keys = {small / "keys"},
                      .signatures = {}};
  CHECK(Verify(query));
}

TEST_CASE("images that cannot be made leave nothing behind") {
  const SmallRelease small;
  Held(small.Commit());
  const auto names = [&] {
    std::vector<std::string> found;
    for (const fs::directory_entry& entry : fs::directory_iterator(small / "."))
      found.push_back(entry.path().filename());
    std::ranges::sort(found);
    return found;
  };
  const SmallRelease other;
  fs::copy(other / "ci.pem", small / "stranger.pem");
  const std::vector<std::string> before = names();
  const auto stranger = Make(small, Options(small / "images"), "stranger.pem");
  REQUIRE_FALSE(stranger);
  CHECK(stranger.error().code == Code::kUsage);
  CHECK(stranger.error().message.contains("nobody could check"));
  ImagesOptions options = Options(small / "images");
  options.disk.slot_size = 1 << 20;
  const auto small_slot = Make(small, options);
  REQUIRE_FALSE(small_slot);
  CHECK(small_slot.error().code == Code::kNoSpace);
  const auto there = Make(small, Options(small / "repo"));
  REQUIRE_FALSE(there);
  CHECK(there.error().message.contains("expected a new directory"));
  CHECK(names() == before);
}

TEST_CASE("hostimage images and verify --image say what they made and proved") {
  const SmallRelease small;
  Held(small.Commit());
  const std::string trust = " --repo " + (small / "repo") + " --keys " + (small / "keys");
  const std::string images = small / "images";
  const std::string make = HOSTIMAGE " images 1.0.0" + trust + " --key " + (small / "ci.pem") +
                           " --output " + images + " --esp-size 64M --slot-size 32M " +
                           "--verity-size 8M --state-size 32M";
  CHECK(Shell(make + " --format iso").status == 2);
  CHECK(Shell(make + " --format qcow2 --format qcow2").status == 2);
  const CommandResult made = Shell(make + " --format qcow2 --format oci --json 2>/dev/null");
  REQUIRE(made.status == 0);
  const auto json = nlohmann::json::parse(made.output);
  CHECK(json["images"][0]["name"] == "hostos-1.0.0-x86-64.qcow2");
  CHECK(json["images"][1]["format"] == "oci");

  const std::string image = images + "/hostos-1.0.0-x86-64.qcow2",
                    keys = " --keys " + (small / "keys");
  const CommandResult proven =
      Shell(HOSTIMAGE " verify --json --image " + image + keys + " 2>/dev/null");
  REQUIRE(proven.status == 0);
  CHECK(nlohmann::json::parse(proven.output)["trusted"] == true);
  CHECK(Shell(HOSTIMAGE " verify --image " + images + "/hostos-1.0.0-x86-64.oci.tar" + trust)
            .status == 0);
  CHECK(
      Shell(HOSTIMAGE " verify --image " + images + "/hostos-1.0.0-x86-64.oci.tar" + keys).status ==
      2);
  CHECK(Shell(HOSTIMAGE " verify" + keys).status == 2);
  ChangeByte(image, 1 << 20);
  CHECK(Shell(HOSTIMAGE " verify --image " + image + keys).status == 7);
}

}  // namespace
}  // namespace hostos
