#include "tests/sbom/small_root.h"

#include <filesystem>

namespace hostos {

namespace fs = std::filesystem;

namespace {

// Where this machine has the C library, whatever its architecture.
std::string LibrariesFolder() {
  for (const char* folder : {"x86_64-linux-gnu", "aarch64-linux-gnu"})
    if (fs::exists(std::string("/usr/lib/") + folder + "/libc.so.6"))
      return std::string("/usr/lib/") + folder;
  throw std::runtime_error("no libc.so.6 in /usr/lib");
}

}  // namespace

SmallRoot::SmallRoot() {
  WriteText(directory_ / "usr/lib/os-release",
            "PRETTY_NAME=\"HostOS 1.4.0\"\nNAME=\"HostOS\"\nID=debian\nVERSION_ID=\"13\"\n"
            "VERSION_CODENAME=trixie\nCPE_NAME=\"cpe:/o:debian:debian_linux:13.0\"\n"
            "IMAGE_ID=hostos\nIMAGE_VERSION=1.4.0\nVENDOR_NAME=\"Example\"\n");
  AddPackage("containerd",
             "Source: containerd (1.7.24~ds1-6)\nVersion: 1.7.24~ds1-6+b1\nArchitecture: amd64\n"
             "Built-Using: golang-1.24 (= 1.24.4-1), golang-dbus (= 5.1.0-1)\n"
             "Static-Built-Using: rust-cfg-if (= 1.0.0-1)\n",
             "/usr/bin/containerd\n");
  const std::string libraries = LibrariesFolder();
  AddPackage("libc6",
             "Source: glibc\nVersion: 2.41-12\nArchitecture: amd64\nMulti-Arch: same\n"
             "Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>\n",
             libraries + "/libc.so.6\n");
  fs::rename(directory_ / "usr/lib/sysimage/dpkg/info/libc6.list",
             directory_ / "usr/lib/sysimage/dpkg/info/libc6:amd64.list");
  AddPackage("linux-image-6.12.0-small",
             "Source: linux-signed-amd64 (6.12.0+1)\nVersion: 6.12.0-1\nArchitecture: amd64\n"
             "Built-Using: linux (= 6.12.0-1)\n",
             "/boot/vmlinuz-6.12.0-small\n");
  AddPackage("zoneinfo", "Version: 1:2025b-4\nArchitecture: all\n");
  WriteText(directory_ / "usr/share/doc/libc6/copyright",
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
            "Files: *\nCopyright: 1991 FSF\nLicense: LGPL-2.1+\n\n"
            "Files: debian/*\nCopyright: 2012 Somebody\nLicense: GPL-2+ or public-domain\n\n"
            "License: LGPL-2.1+\n The text.\n");
  WriteText(directory_ / "usr/share/doc/containerd/copyright", "It is free software.\n");
  WriteText(directory_ / "usr/lib/modules/6.12.0-small/vmlinuz", "kernel");
  fs::create_directories(directory_ / "usr/bin");
  fs::copy_file("/usr/bin/true", directory_ / "usr/bin/hostctl");
  WriteText(directory_ / "usr/bin/containerd", "of a package", 0755);
  WriteText(directory_ / "usr/lib/hostos/wrapper", "#!/bin/sh\n", 0755);
  fs::create_directories(directory_.path() + libraries);
  fs::copy_file(libraries + "/libc.so.6", directory_.path() + libraries + "/libc.so.6");
}

void SmallRoot::AddPackage(const std::string& name, const std::string& lines,
                           const std::string& files) {
  const std::string dpkg = directory_ / "usr/lib/sysimage/dpkg";
  const std::string before =
      fs::exists(dpkg + "/status") ? ReadText(dpkg + "/status") + "\n" : std::string();
  WriteText(dpkg + "/status",
            before + "Package: " + name + "\nStatus: install ok installed\n" + lines);
  WriteText(dpkg + "/info/" + name + ".list", "/.\n/usr\n" + files);
}

SbomInput SmallRoot::Input() const {
  return {.tree = directory_.path(),
          .kernel = "/usr/lib/modules/6.12.0-small/vmlinuz",
          .kernel_version = "6.12.0-small",
          .images = {{.name = "rescue",
                      .path = "/usr/lib/hostos/rescue.efi",
                      .digest = {},
                      .files = {"/usr/lib/modules/6.12.0-small/vmlinuz", "/usr/bin/hostctl"},
                      .other_bytes = 7,
                      .other_programs = {"/usr/lib/only-there"}}},
          .timestamp = 1'790'000'000};
}

}  // namespace hostos
