// What somebody who can write to the ESP leaves there, on a node of files.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <nlohmann/json.hpp>

#include "tests/held.h"
#include "tests/node/ask.h"
#include "tests/node/release_line.h"
#include "tests/source/http_server.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE(
    "verify tells of whatever was put on the ESP, and of a boot with other kernel parameters") {
  ReleaseLine line;
  const HttpServer server(line.releases().repo);
  const FileNode node(line.releases(), server.url());
  using enum ExitCode;
  const auto run = [&](const std::vector<const char*>& words, ExitCode code) {
    Said said = Ask(node, words);
    CAPTURE(words, said.out, said.err);
    CHECK(said.code == code);
    return said.out;
  };
  const auto verify = [&](ExitCode code) {
    run({"verify", "--quiet"}, code);
    return nlohmann::json::parse(run({"verify", "--json"}, code));
  };
  const auto told = [&](const nlohmann::json& found, const std::string& what) -> std::string {
    for (const nlohmann::json& item : found["boot"]["unsigned"])
      if (item["what"] == what) return item["can"];
    return "";
  };
  for (const char* version : {"1.1.0", "1.2.0"}) {  // both slots are written
    line.Publish(version, 5);
    run({"update"}, kStaged);
    REQUIRE(node.Boot());
    run({"gate"}, kDone);
  }
  const std::string esp = node / "esp/", loader = "EFI/BOOT/BOOTX64.EFI";
  const nlohmann::json before = verify(kDone);
  CHECK(before["boot"]["unsigned"].size() == 1);
  CHECK_THAT(told(before, loader), ContainsSubstring("the boot loader"));  // a text, in these tests

  // The running image with one byte of its initrd changed, under a name that the loader takes
  // first.
  std::string image = ReadText(node.machine().LinuxPath(node.machine().Files().back()));
  image[image.size() / 2] ^= 1;
  WriteText(esp + "EFI/Linux/hostos_1.2.0_zz.efi", image);
  WriteText(esp + "loader/addons/site.addon.efi", "addon");
  WriteText(esp + "loader/credentials/passwd.hashed-password.root.cred", "secret");
  WriteText(esp + "loader/loader.conf", "timeout 0\n");
  const std::string options = ReadText(node / "cmdline");
  WriteText(node / "cmdline", options.substr(0, options.size() - 1) + " init=/bin/sh\n");
  const nlohmann::json after = verify(kDone);
  CHECK(after["boot"]["unsigned"].size() == 6);
  CHECK_THAT(told(after, "EFI/Linux/hostos_1.2.0_zz.efi"), ContainsSubstring("a boot image"));
  CHECK_THAT(told(after, "loader/addons/site.addon.efi"), ContainsSubstring("kernel parameters"));
  CHECK_THAT(told(after, "loader/credentials/passwd.hashed-password.root.cred"),
             ContainsSubstring("a password"));
  CHECK_THAT(told(after, "loader/loader.conf"), ContainsSubstring("lacks: editor no"));
  CHECK_THAT(told(after, "the kernel's command line"), ContainsSubstring("\"init=/bin/sh\""));

  WriteText(node / "cmdline", "init=/bin/sh " + options);
  CHECK_THAT(verify(kNotTrusted)["boot"]["problem"].get<std::string>(),
             ContainsSubstring("found \"init=/bin/sh "));
}

}  // namespace
}  // namespace hostos
