#include "bootctl/esp.h"

#include <algorithm>
#include <filesystem>

#include "bootctl/entry_name.h"
#include "bootctl/uki.h"
#include "tests/bootctl/disk_machine.h"
#include "tests/bootctl/outcome.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

// An ESP with the release 1.0.0.
struct EspFixture {
  EspFixture() { Add(file, image.path); }
  void Add(const std::string& name, const std::string& source) {
    fs::create_directories(directory / "EFI/Linux");
    fs::copy_file(source, directory / ("EFI/Linux/" + name));
  }
  EspContents Read() { return Held(Held(Esp::Open(directory.path())).Read(kMachineX64)); }
  Strings Files() {
    Strings files;
    for (const BootEntry& entry : Read().entries) files.push_back(entry.file);
    std::ranges::sort(files);
    return files;
  }
  bool Has(const std::string& name) { return fs::exists(directory / ("EFI/Linux/" + name)); }

  TempDir directory;
  TestImage image{"1.0.0"};
  const std::string stem = ReleaseStem("1.0.0", image.release.root_hash);
  const std::string file = stem + ".efi";
};

TEST_CASE("entries say what their images say, and unknown files are told with their sizes") {
  EspFixture esp;
  WriteText(esp.directory / "EFI/BOOT/BOOTX64.EFI", "loader");
  WriteText(esp.directory / "EFI/systemd/systemd-bootx64.efi", "loader");
  WriteText(esp.directory / "loader/loader.conf", "timeout 0\n");
  WriteText(esp.directory / "loader/credentials/x.cred", "secret");
  WriteText(esp.directory / "EFI/old/vmlinuz", std::string(5000, 'k'));
  WriteText(esp.directory / "notes.txt", "x");
  const EspContents contents = esp.Read();
  REQUIRE(contents.entries.size() == 1);
  const BootEntry& entry = contents.entries[0];
  CHECK(entry.file == esp.file);
  CHECK(entry.version == "1.0.0");
  CHECK(entry.sort_key == "hostos");
  CHECK_FALSE(entry.tries);
  CHECK(entry.root_hash == esp.image.release.root_hash);
  CHECK(entry.size == esp.image.release.uki_size);
  CHECK(contents.space.path == esp.directory.path());
  CHECK(contents.space.free > 0);
  CHECK(contents.space.size >= contents.space.free);
  using File = std::pair<std::string, uint64_t>;
  CHECK(contents.space.unknown == std::vector{File("EFI/old/vmlinuz", 5000), File("notes.txt", 1)});
  CHECK(contents.leftovers.empty());
}

TEST_CASE("what the loader ignores is no entry, and ours of it is a leftover") {
  EspFixture esp;
  esp.Add(TemporaryName(esp.stem), esp.image.path);
  esp.Add(".hidden.efi", esp.image.path);
  esp.Add("auto-x.efi", esp.image.path);
  esp.Add("x.txt", esp.image.path);
  WriteText(esp.directory / ("EFI/Linux/" + esp.stem + "+3.efi"), "");
  WriteText(esp.directory / "EFI/Linux/foreign.efi", "no image");
  CHECK(esp.Files() == Strings{esp.file});
  Strings leftovers = esp.Read().leftovers;
  std::ranges::sort(leftovers);
  CHECK(leftovers == Strings{esp.stem + "+3.efi", TemporaryName(esp.stem)});
  CHECK(esp.Read().space.unknown.size() == 4);
  CHECK(Held(Held(Esp::Open(esp.directory.path())).Read(kMachineArm64)).entries.empty());
}

TEST_CASE("an image that is cut short is offered by the loader, and boots no slot") {
  EspFixture esp;
  fs::resize_file(esp.directory / ("EFI/Linux/" + esp.file), esp.image.release.uki_size - 4096);
  const EspContents contents = esp.Read();
  REQUIRE(contents.entries.size() == 1);
  CHECK(contents.entries[0].root_hash == Digest());
}

TEST_CASE("Type #1 entries are listed when the loader would offer them") {
  EspFixture esp;
  WriteText(esp.directory / "vmlinuz", "kernel");
  const std::string entries = esp.directory / "loader/entries/";
  WriteText(entries + "good+2.conf", "title x\nversion 9 \nsort-key debian\nlinux /vmlinuz\n");
  WriteText(entries + "efi.conf", "efi \\EFI\\Linux\\" + esp.file + "\n");
  WriteText(entries + "other.conf", "efi /EFI/Linux/" + esp.file + "\noptions quiet\n");
  WriteText(entries + "folder.conf", "efi /EFI/Linux/\n");
  WriteText(entries + "gone.conf", "linux /none\n");
  WriteText(entries + "empty.conf", "title x\n");
  WriteText(entries + "arm.conf", "linux /vmlinuz\narchitecture AA64\n");
  WriteText(entries + "x.txt", "linux /vmlinuz\n");
  CHECK(esp.Files() == Strings{esp.file, "loader/entries/efi.conf", "loader/entries/folder.conf",
                               "loader/entries/good+2.conf", "loader/entries/other.conf"});
  for (const BootEntry& entry : esp.Read().entries) {
    // That of the image it names, unless the command line is another one.
    const bool whole = entry.file == esp.file || entry.file == "loader/entries/efi.conf";
    CHECK(entry.root_hash == (whole ? esp.image.release.root_hash : Digest()));
    if (entry.file != "loader/entries/good+2.conf") continue;
    CHECK(entry.version == "9");
    CHECK(entry.sort_key == "debian");
    CHECK(entry.tries == Tries{2, 0});
  }
}

TEST_CASE("the default of loader.conf is read as the loader reads it") {
  EspFixture esp;
  auto configured = [&](const std::string& text) {
    WriteText(esp.directory / "loader/loader.conf", text);
    return esp.Read().default_entry;
  };
  CHECK(esp.Read().default_entry == std::nullopt);
  CHECK(configured("timeout 0\n#default x\n") == std::nullopt);
  CHECK(configured("default  HostOS_*\n") == "hostos_*");
  CHECK(configured("default a\ndefault @Saved\n") == "@saved");
  CHECK(configured("default a\ndefault @other\n") == "a");
}

TEST_CASE("an installed file has the bytes that were asked for, and no temporary stays") {
  EspFixture esp;
  const TestImage image("1.1.0");
  const Release& release = image.release;
  const std::string stem = ReleaseStem("1.1.0", release.root_hash), name = stem + "+3.efi";
  const Esp target = Held(Esp::Open(esp.directory.path()));
  auto install = [&](uint64_t size, const Digest& digest) {
    return target.Install(name, TemporaryName(stem), image.fd.get(), size, digest);
  };
  Digest wrong = release.uki_digest;
  wrong.bytes[0] ^= 1;
  CHECK(Outcome(install(release.uki_size, wrong)).contains("read back after writing"));
  CHECK_FALSE(install(release.uki_size + 1, release.uki_digest));
  CHECK_FALSE(esp.Has(name));
  CHECK_FALSE(esp.Has(TemporaryName(stem)));

  WriteText(esp.directory / ("EFI/Linux/" + TemporaryName(stem)), std::string(10 << 20, 'x'));
  CHECK(Outcome(install(release.uki_size, release.uki_digest)) == "ok");
  CHECK(Held(target.Hash(name)) == release.uki_digest);
  CHECK_FALSE(esp.Has(TemporaryName(stem)));
  CHECK_FALSE(install(release.uki_size, release.uki_digest));  // never onto an entry
  CHECK(Held(target.Hash(name)) == release.uki_digest);
}

TEST_CASE("a rename never replaces an entry, and removing what is gone succeeds") {
  EspFixture esp;
  esp.Add(esp.stem + "+3.efi", esp.image.path);
  const Esp target = Held(Esp::Open(esp.directory.path()));
  CHECK(Outcome(target.Rename(esp.stem + "+3.efi", esp.file)).contains("File exists"));
  CHECK(esp.Has(esp.stem + "+3.efi"));
  const Strings files = {esp.stem + "+3.efi", "none.efi"};
  CHECK(Outcome(target.Remove(files)) == "ok");
  CHECK(Outcome(target.Remove(files)) == "ok");
  CHECK(esp.Files() == Strings{esp.file});
}

}  // namespace
}  // namespace hostos
