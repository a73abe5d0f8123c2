// What people download of a real release: it boots, and it runs.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>

#include "tests/held.h"
#include "tests/temp_dir.h"
#include "tests/text_file.h"
#include "tests/vm/node.h"
#include "tests/vm/process.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

// Makes images of 1.0.0 in a format, and proves them.
std::string Images(const TempDir& directory, const std::string& format, const std::string& suffix) {
  const std::string made = Held(ReleaseSet::Open()).directory(), output = directory / "images";
  const std::string image = output + "/hostos-1.0.0-x86-64" + suffix;
  Held(Process::Run(
      {HOSTIMAGE, "images", "1.0.0", "--repo", made + "/repo", "--keys", made + "/keys", "--key",
       made + "/secret.pem", "--output", output, "--format", format},
      directory / "log"));
  Held(Process::Run(
      {HOSTIMAGE, "verify", "--repo", made + "/repo", "--keys", made + "/keys", "--image", image},
      directory / "log"));
  return image;
}

void Boots(const std::string& format, const std::string& qemu) {
  const TempDir directory;
  const std::string disk = Images(directory, format, "." + format);
  const ReleaseSet releases = Held(ReleaseSet::Open());
  auto node =
      Held(Node::Start("images-" + format, releases, "", {.disk = disk, .disk_format = qemu}));
  Held(node->WaitBooted());
  const nlohmann::json status = Held(node->Json({"status"}));
  CHECK(status["running"] == "A");
  CHECK(status["slots"][0]["root_hash"] == Held(releases.Get("1.0.0")).root_hash.Hex());
}

TEST_CASE("images: the qcow2 that people download boots") {
  Boots("qcow2", "qcow2");
}

TEST_CASE("images: the VHD that people download boots") {
  Boots("vhd", "vpc");
}

TEST_CASE("images: the OCI image runs under runc, and names its release") {
  const TempDir directory;
  const std::string archive = Images(directory, "oci", ".oci.tar"), log = directory / "log";
  Held(Process::Run({"skopeo", "copy", "-q", "oci-archive:" + archive,
                     "oci:" + (directory / "layout") + ":1.0.0"},
                    log));
  Held(Process::Run(
      {"umoci", "unpack", "--image", directory / "layout:1.0.0", directory / "bundle"}, log));
  // The root's own programs, under the kernel of whoever runs the test. runc needs a root that is a
  // mount point, which that of a chroot is not.
  const std::string run = directory / "run.sh";
  WriteText(run, R"sh(set -eu
cd "$1"
jq '.process.terminal = false | .process.args = ["/bin/bash", "-c",
    ". /etc/os-release && echo \"$PRETTY_NAME\" && dpkg-query -W linux-base && hostctl --version"]' \
  config.json >new.json
mv new.json config.json
mkdir root
mount --make-rprivate / 2>/dev/null || :
mount --rbind / root
mount --make-rprivate root
exec chroot root runc --root "$1/state" run --bundle "$1" "hostos-images-$$"
)sh");
  const std::string output = directory / "output";
  const Result<> ran = Process::Run(
      {"unshare", "--mount", "--propagation", "unchanged", "sh", run, directory / "bundle"},
      output);
  INFO(ReadText(output));
  Held(ran);
  CHECK_THAT(ReadText(output),
             ContainsSubstring("HostOS 1.0.0\nlinux-base") && ContainsSubstring("hostctl "));
}

}  // namespace
}  // namespace hostos
