// hostimage new and hostimage build, as programs. The base is a small one in the place where a
// build keeps its packages, so that everything after the packages is real and needs no network.
// Needs root.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "images/rescue.h"
#include "images/uki.h"
#include "tests/held.h"
#include "tests/shell.h"
#include "tests/temp_dir.h"
#include "tests/text_file.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;

constexpr const char* kRootfs = HOSTOS_SOURCE_DIR "/rootfs/build";

// A folder of `hostimage new` with a base of a shell, and programs in the place of hostctl's.
struct Site {
  explicit Site() {
    const CommandResult made = Shell(HOSTIMAGE " new " + site);
    CAPTURE(made.output);
    REQUIRE(made.status == 0);
    MakeBase();
    for (const char* program : {"usr/bin/hostctl", "usr/lib/hostos/fetch"}) {
      fs::create_directories(fs::path(installed + "/" + program).parent_path());
      fs::copy_file("/usr/bin/true", installed + "/" + program);
    }
    fs::create_directories(installed + "/usr/lib/hostctl");
    fs::copy_file(HOSTOS_SOURCE_DIR "/updater/hostctl/hostctl.toml",
                  installed + "/usr/lib/hostctl/hostctl.toml");
    WriteText(site + "/files/etc/site", "ours\n");
    WriteText(site + "/files/usr/lib/systemd/system/agent.service",
              "[Service]\nExecStart=/usr/bin/true\n[Install]\nWantedBy=multi-user.target\n");
    std::string image = ReadText(site + "/image.toml");
    image.replace(image.find("#[[files]]"), 10, "[[files]]\nsource = \"files\"\n");
    image.replace(image.find("enable = []"), 11, "enable = [\"agent.service\"]");
    image += "cache = \"" + parent / "cache" + "\"\ninstall = \"" + installed + "\"\n";
    image.replace(image.find("formats ="), 9,
                  "esp_size = \"64M\"\nslot_size = \"64M\"\nverity_size = \"8M\"\nstate_size = "
                  "\"64M\"\nformats =");
    WriteText(site + "/image.toml", image);
  }

  void MakeBase() const {
    std::string key = Run(std::string(kRootfs) + " base-key");
    key.pop_back();
    const std::string base = parent / ("cache/bases/" + key), tree = base + "/tree";
    for (const char* folder : {"boot",
                               "dev",
                               "etc/ssl/certs",
                               "etc/systemd/network",
                               "etc/systemd/system",
                               "etc/systemd/system-generators",
                               "etc/systemd/user",
                               "home",
                               "media",
                               "mnt",
                               "opt",
                               "proc",
                               "root",
                               "run",
                               "srv",
                               "sys",
                               "tmp",
                               "usr/bin",
                               "usr/local",
                               "usr/lib/tmpfiles.d",
                               "usr/lib64",
                               "var/lib/dpkg/info"})
      fs::create_directories(tree + "/" + folder);
    for (const char* link : {"bin", "lib", "lib64"})
      fs::create_symlink(std::string("usr/") + link, tree + "/" + link);
    for (const char* file : {"etc/resolv.conf", "etc/machine-id",
                             "etc/ssl/certs/ca-certificates.crt", "usr/lib/tmpfiles.d/home.conf",
                             "usr/lib/tmpfiles.d/provision.conf", "var/lib/dpkg/arch-native"})
      WriteText(tree + "/" + file, "");
    WriteText(tree + "/etc/nsswitch.conf", "passwd: files\n");
    WriteText(tree + "/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
    WriteText(tree + "/etc/shadow", "root:*:1:0:99999:7:::\n", 0640);
    WriteText(tree + "/usr/lib/os-release", "ID=debian\nVERSION_ID=\"13\"\n");
    WriteText(
        tree + "/var/lib/dpkg/status",
        "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n");
    WriteText(tree + "/var/lib/dpkg/info/base-files.list", "/.\n");
    WriteText(tree + "/var/lib/dpkg/info/base-files.md5sums", "");
    fs::create_directories(tree + "/usr/lib/modules/6.12.0-small");
    fs::copy_file(std::string(kEfiPrograms) + "systemd-bootx64.efi",
                  tree + "/usr/lib/modules/6.12.0-small/vmlinuz");
    Run("cp -L --parents /usr/lib/*/libnss_files.so.2 $(ldd /usr/bin/bash | grep -o '/[^ ]*') " +
        tree + " && cp /usr/bin/bash /usr/bin/ldd " + tree + "/usr/bin");
    WriteText(base + "/initrd", std::string(70000, 'i'));
    fs::create_directory(base + "/changelogs");
    Run("cd " + tree + " && echo etc/passwd | cpio --quiet --create --format=newc >" + base +
        "/rescue-initrd");
    WriteText(base + "/epoch", "1790000000\n");
  }

  CommandResult Build(const std::string& options = "") const {
    return Shell("cd / && " HOSTIMAGE " build " + site + "/image.toml " + options);
  }
  std::string File(const std::string& name) const { return site + "/" + name; }

  TempDir parent;
  std::string site = parent / "site", installed = parent / "installed";
};

TEST_CASE("hostimage new makes an image of one's own, and nothing over what is there") {
  const TempDir parent;
  const CommandResult made =
      Shell("HOSTIMAGE_PASSPHRASE=secret " HOSTIMAGE " new " + (parent / "site/"));
  CAPTURE(made.output);
  REQUIRE(made.status == 0);
  CHECK(SameFiles(parent / "site/image.toml", HOSTOS_SOURCE_DIR "/images/image.toml"));
  CHECK_THAT(ReadText(parent / "site/release.pem"),
             ContainsSubstring("BEGIN ENCRYPTED PRIVATE KEY"));
  CHECK_THAT(ReadText(parent / "site/online.pem"), ContainsSubstring("BEGIN PRIVATE KEY"));
  CHECK(Shell(HOSTIMAGE " check --repo " + (parent / "site/repo")).status == 0);
  const CommandResult again = Shell(HOSTIMAGE " new " + (parent / "site"));
  CHECK(again.status == 12);
  CHECK_THAT(again.output, ContainsSubstring("expected nothing there, found something"));
  const CommandResult unable = Shell(HOSTIMAGE " new " + (parent / "missing/site"));
  CHECK(unable.status == 1);
  CHECK(std::distance(fs::directory_iterator(parent.path()), {}) == 1);  // no leftovers
}

TEST_CASE("hostimage build makes, publishes and writes to a disk what image.toml says, once") {
  const Site site;
  const CommandResult first = site.Build();
  CAPTURE(first.output);
  REQUIRE(first.status == 0);
  const std::string tree = site.File("out/1.0.0/tree");
  CHECK(ReadText(tree + "/etc/site") == "ours\n");
  CHECK(fs::is_symlink(tree + "/etc/systemd/system/multi-user.target.wants/agent.service"));
  CHECK(SameFiles(tree + "/usr/lib/hostos/keys.d/release.pub", site.File("keys/release.pub")));
  CHECK(SameFiles(tree + "/usr/lib/hostos/tuf/root.json", site.File("repo/metadata/1.root.json")));
  CHECK(Shell(HOSTIMAGE " verify hostos/x86-64/stable --repo " + site.File("repo") + " --keys " +
              site.File("keys"))
            .status == 0);
  CHECK_THAT(Run(HOSTIMAGE " releases --channel stable --repo " + site.File("repo")),
             ContainsSubstring("1.0.0"));
  CHECK(fs::file_size(site.File("out/hostos-1.0.0.raw")) > 256 << 20);

  // Nothing is made again.
  const auto written = fs::last_write_time(site.File("out/hostos-1.0.0.raw"));
  const CommandResult again = site.Build();
  CAPTURE(again.output);
  CHECK(again.status == 0);
  CHECK_THAT(again.output,
             ContainsSubstring("1.0.0 is in " + site.File("repo") + ", made of the same"));
  CHECK_THAT(again.output, ContainsSubstring("1.0.0 is published, with this content"));
  CHECK(fs::last_write_time(site.File("out/hostos-1.0.0.raw")) == written);

  // A disk that says something else is made again, a release that would is refused.
  CHECK(site.Build("--set node.hostname=node-1").status == 0);
  CHECK(fs::last_write_time(site.File("out/hostos-1.0.0.raw")) != written);
  WriteText(site.File("files/etc/site"), "other\n");
  const CommandResult other = site.Build();
  CHECK(other.status == 12);
  CHECK_THAT(other.output, ContainsSubstring("made of other files: give this one another version"));
  CHECK(ReadText(tree + "/etc/site") == "ours\n");
  const CommandResult next = site.Build("--set release.version=1.0.1 --set release.after=1.0.0");
  CAPTURE(next.output);
  CHECK(next.status == 0);
  CHECK(ReadText(site.File("out/1.0.1/tree/etc/site")) == "other\n");
}

TEST_CASE("a disk of image.toml carries its credentials for the first boot") {
  const Site site;
  const CommandResult built = site.Build("--set node.hostname=node-1");
  CAPTURE(built.output);
  REQUIRE(built.status == 0);
  const std::string disk = site.File("out/hostos-1.0.0.raw"), found = site.parent / "found.cred";
  Run("offset=$(sfdisk --json " + disk +
      " | jq '.partitiontable.partitions[0].start * 512') && mcopy -i " + disk +
      "@@$offset ::/loader/credentials/firstboot.hostname.cred " + found);
  CHECK(Run("systemd-creds decrypt --allow-null --name=firstboot.hostname " + found + " -") ==
        "node-1");
}

TEST_CASE("hostimage build goes on where it stopped") {
  const Site site;
  const std::string repo = site.File("repo");
  const CommandResult refused = site.Build("--set trust.required_signatures=2");
  CAPTURE(refused.output);
  CHECK(refused.status == 7);
  CHECK_FALSE(fs::exists(site.File("out/hostos-1.0.0.raw")));
  // Without the online key the release is staged; its disk is there all the same.
  const std::string image = ReadText(site.File("image.toml"));
  const std::string online = ", \"online.pem\"";
  std::string offline = image;
  WriteText(site.File("image.toml"), offline.replace(image.find(online), online.size(), ""));
  for (const char* time : {"first", "second"}) {
    const CommandResult staged = site.Build();
    CAPTURE(time, staged.output);
    CHECK(staged.status == 4);
    CHECK_THAT(staged.output, ContainsSubstring("1.0.0 is in " + repo + ", made of the same"));
    CHECK(fs::exists(site.File("out/hostos-1.0.0.raw")));
  }
  const auto said =
      nlohmann::json::parse(ShellOutput(HOSTIMAGE " staged --json --repo " + repo).output);
  CHECK(Shell(HOSTIMAGE " sign --repo " + repo + " --key " + site.File("online.pem") +
              " --digest " + said["digest"].get<std::string>())
            .status == 0);
  WriteText(site.File("image.toml"), image);
  const CommandResult done = site.Build();
  CAPTURE(done.output);
  CHECK(done.status == 0);
  CHECK_THAT(done.output, ContainsSubstring("is published, with this content"));
}

// What a tree's rescue has in it.
std::string RescueOf(const std::string& tree) {
  const TempDir work;
  const std::optional<UniqueFd> image = Held(OpenRescue(tree, work.path()));
  REQUIRE(image);
  return Held(ReadFile(std::format("/proc/self/fd/{}", image->get()), 1 << 30));
}

TEST_CASE(
    "a release of somebody else with files of one's own names what differs, and trusts one's own "
    "keys alone") {
  const Site vendor;
  REQUIRE(vendor.Build("--set 'kernel.arguments=[\"theirs=1\"]'").status == 0);
  const std::string site = vendor.parent / "own", tree = site + "/out/1.0.0-own/tree";
  REQUIRE(Shell(HOSTIMAGE " new " + site).status == 0);
  WriteText(site + "/files/etc/own", "own\n");
  WriteText(site + "/files/opt/agent", "program\n");
  WriteText(site + "/files/etc/site", "not theirs\n");
  std::string image = ReadText(site + "/image.toml");
  image.replace(image.find("#[[files]]"), 10, "[[files]]\nsource = \"files\"\n");
  image.replace(image.find("formats ="), 9,
                "esp_size = \"64M\"\nslot_size = \"64M\"\nverity_size = \"8M\"\nstate_size = "
                "\"64M\"\nformats =");
  WriteText(site + "/image.toml", image + "cache = \"" + vendor.parent / "cache" + "\"\n");
  const auto customize = [&](const std::string& keys, const std::string& more) {
    return Shell(HOSTIMAGE " customize " + site +
                 "/image.toml --set release.version=1.0.0-own --repo " + vendor.File("repo") +
                 " --keys " + keys + " --from 1.0.0 --set 'kernel.arguments=[\"quiet\"]' " + more);
  };
  CHECK(customize(site + "/keys", "").status == 7);  // the release is not signed by these
  CHECK(customize(vendor.File("keys"), "--set packages.profile=test").status == 2);
  CHECK_FALSE(fs::exists(site + "/out/1.0.0-own"));
  const CommandResult made = customize(vendor.File("keys"), "");
  CAPTURE(made.output);
  REQUIRE(made.status == 0);
  for (const char* line : {"added            /etc/own\n", "changed          /etc/site\n",
                           "changed          /usr/lib/os-release\n",
                           "changed          /usr/lib/hostos/keys.d/release.pub\n",
                           "added            /usr/share/factory/var/opt/agent\n",
                           "added            /usr/share/hostos/deviations.json\n"})
    CHECK_THAT(made.output, ContainsSubstring(line));
  const auto said = nlohmann::json::parse(ReadText(tree + "/usr/share/hostos/deviations.json"));
  CHECK(said["release"]["version"] == "1.0.0");
  CHECK(said["release"]["commit"].get<std::string>() + "\n" ==
        Run("ostree rev-parse --repo=" + vendor.File("repo") + " hostos/x86-64/stable"));
  // Of which the changelogs are not in a release.
  CHECK(said["removed"] == nlohmann::json::array({"/usr/share/sbom/hostos.changes.json"}));
  CHECK(said["packages"].empty());
  CHECK(said["kernel_arguments"] == nlohmann::json{"quiet"});
  // Theirs come first; neither is in the other.
  const std::string options =
      Run("ostree cat --repo=" + site +
          "/repo hostos/x86-64/stable /boot/hostos.efi | strings | grep roothash=");
  CHECK_THAT(options, ContainsSubstring(" theirs=1 quiet"));
  CHECK(ReadText(tree + "/usr/share/factory/var/opt/agent") == "program\n");
  CHECK(fs::is_symlink(tree +
                       "/etc/systemd/system/multi-user.target.wants/agent.service"));  // theirs
  const std::string rescue = RescueOf(tree), own = ReadText(site + "/keys/release.pub"),
                    theirs = ReadText(vendor.File("keys/release.pub"));
  CHECK(rescue.contains(own));
  CHECK_FALSE(rescue.contains(theirs));
  CHECK(RescueOf(vendor.File("out/1.0.0/tree")).contains(theirs));
  CHECK(Shell(HOSTIMAGE " verify hostos/x86-64/stable --repo " + site + "/repo --keys " + site +
              "/keys")
            .status == 0);
}

TEST_CASE("hostimage build says what is wrong before it makes anything") {
  const Site site;
  const auto refused = [&](const std::string& options, int code, const std::string& text) {
    const CommandResult ran = site.Build(options);
    CAPTURE(options, ran.output);
    CHECK(ran.status == code);
    CHECK_THAT(ran.output, ContainsSubstring(text));
  };
  refused("--set release.version=", 2, "--set");
  refused("--set 'packages.remove=[\"emacs\"]'", 2, "[packages] remove: expected a package of ");
  refused("--set 'units.enable=[\"agnet.service\"]'", 2,
          "[units] enable: expected a unit of the image, found agnet.service");
  refused("--set repo.path=hotsos", 1, "hotsos");
  refused("--set 'trust.commit_keys=[\"missing.pem\"]'", 1, "missing.pem");
  WriteText(site.File("files/run/x"), "");
  refused("", 2, "image.toml:");
  for (const char* none : {"out/1.0.0.json", "out/hostos-1.0.0.raw", "hotsos"})
    CHECK_FALSE(fs::exists(site.File(none)));
  CHECK(Shell(HOSTIMAGE " releases --channel stable --repo " + site.File("repo")).status == 1);
}

}  // namespace
}  // namespace hostos
