#include "bootctl/uki.h"

#include <sys/stat.h>

#include <cstring>
#include <random>

#include "tests/bootctl/disk_machine.h"
#include "tests/bootctl/outcome.h"

namespace hostos {
namespace {

std::optional<Uki> Parse(const std::string& bytes) {
  TempDir directory;
  WriteText(directory / "x.efi", bytes);
  return Held(ReadUki(Held(Open(directory / "x.efi", O_RDONLY)).get()));
}

// A PE file with nothing but the sections given, each at the end of the file.
struct Pe {
  std::vector<std::pair<std::string, std::string>> sections;
  uint16_t machine = kMachineX64;

  std::string Bytes() const {
    std::string bytes(64, '\0');
    bytes.replace(0, 2, "MZ");
    Put(bytes, 60, uint32_t{64});
    bytes.resize(64 + 24 + 112 + 40 * sections.size());
    bytes.replace(64, 2, "PE");
    Put(bytes, 68, machine);
    Put(bytes, 70, static_cast<uint16_t>(sections.size()));
    Put(bytes, 84, uint16_t{112});
    Put(bytes, 88, uint16_t{0x20b});
    for (size_t i = 0; i < sections.size(); i++) {
      const auto& [name, content] = sections[i];
      const size_t at = 200 + 40 * i;
      bytes.replace(at, name.size(), name);
      Put(bytes, at + 8, static_cast<uint32_t>(content.size()));
      Put(bytes, at + 16, static_cast<uint32_t>(content.size()));
      Put(bytes, at + 20, static_cast<uint32_t>(bytes.size()));
      bytes += content;
    }
    return bytes;
  }

  template <class T>
  static void Put(std::string& bytes, size_t at, T value) {
    std::memcpy(&bytes[at], &value, sizeof value);
  }
};

const std::string kHash(64, 'a');
const std::string kOsrel = "ID=hostos\nIMAGE_VERSION=1.0.0\n";

TEST_CASE("an image made by ukify says its version, sort key and root hash") {
  const TestImage image("1.1.0");
  const std::optional<Uki> uki = Held(ReadUki(image.fd.get()));
  REQUIRE(uki);
  CHECK(uki->machine == kMachineX64);
  CHECK(uki->version == "1.1.0");
  CHECK(uki->sort_key == "hostos");
  CHECK(uki->root_hash == image.release.root_hash);
  CHECK(uki->complete);
  CHECK(ReadUkiOf(image.fd.get(), image.release));
}

TEST_CASE("an image is refused for another release, with what was expected and found") {
  const TestImage image("1.1.0");
  Release other = image.release;
  other.version = "1.2.0";
  CHECK(CodeOf(ReadUkiOf(image.fd.get(), other)) == Code::kNotTrusted);
  CHECK(Outcome(ReadUkiOf(image.fd.get(), other)).contains("expected version 1.2.0"));
  other = image.release;
  other.root_hash.bytes[0] ^= 1;
  CHECK(Outcome(ReadUkiOf(image.fd.get(), other))
            .contains("found version 1.1.0 and root hash " + image.release.root_hash.Hex()));
  other = image.release;
  other.architecture = "arm64";
  CHECK(Outcome(ReadUkiOf(image.fd.get(), other)).contains("expected PE machine 0xaa64"));
}

TEST_CASE("an image that is cut short anywhere is not complete") {
  const TestImage image("1.1.0");
  const std::string whole = Held(ReadFile(image.path, 64 << 20));
  for (size_t size = 0; size < whole.size(); size += whole.size() / 100) {
    CAPTURE(size);
    const std::optional<Uki> uki = Parse(whole.substr(0, size));
    CHECK_FALSE((uki && uki->complete));
  }
  CHECK(Parse(whole)->complete);
}

TEST_CASE("what the loader does not offer is no image") {
  CHECK_FALSE(Parse(""));
  CHECK_FALSE(Parse(std::string(4096, '\0')));
  CHECK_FALSE(Parse("#!/bin/sh\n"));
  CHECK_FALSE(Parse(Pe{{{".text", "code"}}}.Bytes()));
  CHECK_FALSE(Parse(Pe{{{".osrel", "VERSION_ID=1\n"}}}.Bytes()));  // no name
  CHECK(Parse(Pe{{{".osrel", "NAME=x\n"}}}.Bytes()));
}

TEST_CASE("version and sort key are chosen as the loader does") {
  auto parse = [](const std::string& osrel) { return *Parse(Pe{{{".osrel", osrel}}}.Bytes()); };
  CHECK(parse("ID=a\nVERSION_ID=1\nVERSION='2 (x)'\nIMAGE_VERSION=\"3\"\n").version == "3");
  CHECK(parse("ID=a\nBUILD_ID=0\nVERSION_ID=1\nVERSION='2 (x)'\n").version == "2 (x)");
  CHECK(parse("ID=a\nBUILD_ID=0\nVERSION_ID=1\n").version == "1");
  CHECK(parse("ID=a\n# IMAGE_VERSION=9\n BUILD_ID=7 \r\n").version == "7");
  CHECK(parse("ID=a\nIMAGE_ID=b").sort_key == "b");
  CHECK(parse("ID=a\n").sort_key == "a");
  CHECK(parse("NAME=a\n").sort_key == std::nullopt);
  CHECK(parse("NAME=a\nVERSION_ID=1\nVERSION_ID=2\n").version == "2");
  CHECK(parse(std::string("NAME=a\n\0VERSION_ID=1\n", 20)).version == "");
}

TEST_CASE("the first section of a name counts, and the first profile overrides the base") {
  CHECK(Parse(Pe{{{".osrel", kOsrel}, {".osrel", "ID=x\nIMAGE_VERSION=9\n"}}}.Bytes())->version ==
        "1.0.0");
  const std::string other(64, 'b');
  const auto uki = Parse(Pe{{{".osrel", kOsrel},
                             {".cmdline", "roothash=" + kHash},
                             {".profile", "ID=one\n"},
                             {".cmdline", "roothash=" + other},
                             {".profile", "ID=two\n"},
                             {".osrel", "ID=x\nIMAGE_VERSION=9\n"}}}
                             .Bytes());
  CHECK(uki->version == "1.0.0");
  CHECK(uki->root_hash->Hex() == other);
}

TEST_CASE("a command line has one root hash or none") {
  CHECK(RootHashOf("quiet roothash=" + kHash + " ro")->Hex() == kHash);
  CHECK(RootHashOf("roothash=" + kHash + "\n")->Hex() == kHash);
  CHECK(RootHashOf("roothash=" + kHash + " roothash=" + kHash)->Hex() == kHash);
  CHECK_FALSE(RootHashOf("roothash=" + kHash + " roothash=" + std::string(64, 'b')));
  CHECK_FALSE(RootHashOf("quiet xroothash=" + kHash));
  CHECK_FALSE(RootHashOf("roothash="));
  CHECK_FALSE(RootHashOf("roothash=" + kHash + "a"));
  CHECK_FALSE(RootHashOf(""));
}

TEST_CASE("a section that claims gigabytes costs no memory") {
  std::string bytes = Pe{{{".osrel", kOsrel}}}.Bytes();
  Pe::Put(bytes, 208, 0xffffffffu);
  Pe::Put(bytes, 216, 0xffffffffu);
  const auto uki = Parse(bytes);
  REQUIRE(uki);
  CHECK(uki->version == "1.0.0");  // read as far as the file goes, as the loader does
  CHECK_FALSE(uki->complete);
}

TEST_CASE("random damage to the headers never reads out of bounds") {
  const std::string good =
      Pe{{{".osrel", kOsrel}, {".cmdline", "roothash=" + kHash}, {".linux", "kernel"}}}.Bytes();
  std::mt19937 random(257);
  size_t images = 0;
  for (int round = 0; round < 3000; round++) {
    std::string bytes = good;
    for (int change = 0; change < 4; change++) bytes[random() % 320] = static_cast<char>(random());
    images += Parse(bytes).has_value();
  }
  CHECK(images > 0);  // some survive, so that what follows the headers is reached
  CHECK(images < 3000);
}

}  // namespace
}  // namespace hostos
