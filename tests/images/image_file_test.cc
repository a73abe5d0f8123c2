#include "images/image_file.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <set>
#include <sstream>

#include "tests/held.h"
#include "tests/temp_dir.h"
#include "tests/text_file.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

constexpr const char* kLeast =
    "[release]\nversion = \"1.0.0\"\n[repo]\npath = \"repo\"\n"
    "[trust]\nkeys = [\"keys\"]\ncommit_keys = [\"release.pem\"]\n";

// A folder with what an image.toml may name.
struct Folder {
  Folder() {
    for (const char* file :
         {"files/etc/motd", "packages", "node.toml", "10-lan.network", "root.json", "users.conf",
          "motd", "keys/a.pub", "repart.d/10-esp.conf"})
      WriteText(Path(file), std::string(file) + "\n");
    WriteText(outside, "secret");
    fs::create_symlink(outside, Path("link-out"));
    fs::create_symlink("packages", Path("link-in"));
    WriteText(Path("image.toml"), kLeast);
  }
  std::string Path(const std::string& name) const { return parent / ("image/" + name); }

  Result<ImageFile> Load(const std::string& text,
                         const std::vector<std::string>& changes = {}) const {
    WriteText(Path("image.toml"), text);
    return LoadImageFile(Path("image.toml"), changes);
  }
  // The error without the folder: "image.toml:3: ...".
  std::string Problem(const std::string& text, const std::vector<std::string>& changes = {}) const {
    const Result<ImageFile> image = Load(text, changes);
    REQUIRE_FALSE(image);
    CHECK(image.error().code == Code::kUsage);
    const std::string& message = image.error().message;
    return message.starts_with(Path("")) ? message.substr(Path("").size()) : message;
  }

  TempDir parent;
  std::string outside = parent / "outside";
};

// The example with every key that is behind a # in it.
std::string Example() {
  std::istringstream lines(ReadText(HOSTOS_SOURCE_DIR "/images/image.toml"));
  std::string text;
  for (std::string line; std::getline(lines, line); text += line + "\n")
    if (line.size() > 1 && line[0] == '#' && line[1] != ' ') line.erase(0, 1);
  return text;
}

TEST_CASE("the example that hostimage new copies is an image, and so is all that it mentions") {
  const Folder folder;
  const ImageFile image = Held(folder.Load(ReadText(HOSTOS_SOURCE_DIR "/images/image.toml")));
  CHECK(image.version == "1.0.0");
  CHECK(image.formats == std::vector<std::string>{"raw"});
  WriteText(folder.Path("common.toml"), "");
  const ImageFile whole = Held(folder.Load(Example()));
  CHECK(whole.after == "1.0.0");
  CHECK(whole.os_release.at("SUPPORT_END") == "2028-08-09");
  CHECK(whole.os_release.size() == 8);
  CHECK(whole.package_list == folder.Path("packages"));
  CHECK(whole.mirror == "https://mirror.example.org/debian");
  REQUIRE(whole.files.size() == 2);
  CHECK(whole.files[0].source == folder.Path("files"));
  CHECK(whole.credentials.at("firstboot.hostname") == "node-1");
  CHECK(whole.credentials.at("hostctl.config") == "node.toml\n");
  CHECK(whole.credentials.at("sysusers.extra") == "users.conf\n");
  CHECK(whole.disk.esp_size == 1ULL << 30);
  CHECK(whole.root == folder.Path("root.json"));
  CHECK(whole.role_keys == std::vector{folder.Path("release.pem"), folder.Path("online.pem")});
  CHECK(whole.output == folder.Path("out"));
  CHECK(whole.cache == "/var/cache/hostos");
}

TEST_CASE("every key is read as it stands") {
  const Folder folder;
  const ImageFile image = Held(folder.Load(std::string(kLeast) + R"(required_signatures = 2
signatures = "pq"
role_keys = ["env:ONLINE", "pkcs11:token=release;object=key", "/run/stick/release.pem"]
[packages]
add = ["htop", "libstdc++6"]
remove = ["nano"]
suite_updates = false
profile = "test"
[[files]]
source = "files/etc/motd"
path = "/etc/motd"
mode = "0600"
owner = "901:902"
[[files]]
source = "files"
[units]
enable = ["agent@one.service"]
disable = ["fstrim.timer"]
[kernel]
arguments = ["console=ttyS1,115200", "quiet"]
[node]
timezone = "Europe/Berlin"
root_password = "$6$salt$hash/."
authorized_keys = ["ssh-ed25519 AAAA you", "ssh-rsa BBBB me"]
networks = ["10-lan.network"]
[disk]
formats = ["qcow2", "raw"]
slot_size = "512M"
sector_size = 4096
)"));
  CHECK(image.signatures == SignatureRule{SignaturePolicy::kPq, 2});
  CHECK(image.role_keys == std::vector<std::string>{"env:ONLINE", "pkcs11:token=release;object=key",
                                                    "/run/stick/release.pem"});
  REQUIRE(image.added.size() == 2);
  CHECK(image.added[1].value == "libstdc++6");
  CHECK(image.removed[0].place == folder.Path("image.toml:13"));
  CHECK_FALSE(image.suite_updates);
  CHECK(image.test_profile);
  REQUIRE(image.files.size() == 2);
  CHECK(image.files[0].path == "/etc/motd");
  CHECK(image.files[0].mode == 0600);
  CHECK(image.files[0].uid == 901);
  CHECK(image.files[0].gid == 902);
  CHECK(image.files[1].path == "/");
  CHECK(image.enabled[0].value == "agent@one.service");
  CHECK(image.kernel_arguments.size() == 2);
  CHECK(image.credentials.at("ssh.authorized_keys.root") ==
        "ssh-ed25519 AAAA you\nssh-rsa BBBB me\n");
  CHECK(image.credentials.at("network.network.10-lan") == "10-lan.network\n");
  CHECK(image.formats == std::vector<std::string>{"qcow2", "raw"});
  CHECK(image.disk.slot_size == 512ULL << 20);
  CHECK(image.disk.sector_size == 4096);
}

TEST_CASE("what image.toml does not know, or what does not fit, is named with its line") {
  const Folder folder;
  const std::string least = kLeast;
  const struct {
    const char* text;  // after what is needed, which has 7 lines
    const char* problem;
  } cases[] = {
      {"[relaese]\n", "image.toml:8: unknown key relaese at the top; known are: include, release,"},
      {"[packages]\nad = []\n",
       "image.toml:9: unknown key ad in [packages]; known are: list, add,"},
      {"[[files]]\nsource = \"files\"\ntarget = \"/\"\n",
       "image.toml:10: unknown key target in [files]"},
      {"[packages]\nadd = \"htop\"\n",
       "image.toml:9: [packages] add must be a list of strings, found 'htop'"},
      {"[packages]\nadd = [\"Htop\", \"a b\"]\n",
       "image.toml:9: [packages] add must be a list, each the name of a Debian package"},
      {"[packages]\nsuite_updates = \"yes\"\n",
       "image.toml:9: [packages] suite_updates must be true or false, found 'yes'"},
      {"[packages]\nprofile = \"best\"\n",
       "image.toml:9: [packages] profile must be default or test, found 'best'"},
      {"[packages]\nmirror = \"ftp\"\n", "image.toml:9: [packages] mirror must be an address"},
      {"[packages]\nlist = \"../outside\"\n",
       "image.toml:9: [packages] list must be a path that is there, below "},
      {"[packages]\nlist = \"link-out\"\n",
       "image.toml:9: [packages] list must be a path that is there, below "},
      {"[packages]\nlist = \"files/../../outside\"\n",
       "image.toml:9: [packages] list must be a path that is there"},
      {"[packages]\nlist = \"/etc/passwd\"\n",
       "image.toml:9: [packages] list must be a path that is there"},
      {"[packages]\nlist = \"missing\"\n",
       "image.toml:9: [packages] list must be a path that is there"},
      {"[[files]]\npath = \"/etc/motd\"\n", "image.toml:9: [files] expected a source, found none"},
      {"[[files]]\nsource = \"files/etc/motd\"\n",
       "image.toml:9: [files] expected the path of the file in the image"},
      {"[[files]]\nsource = \"files\"\npath = \"etc\"\n",
       "image.toml:10: [files] path must be the path of a file in the image"},
      {"[[files]]\nsource = \"files\"\npath = \"/etc/../boot\"\n",
       "image.toml:10: [files] path must be the path of a file"},
      {"[[files]]\nsource = \"files\"\npath = \"/run/x\"\n",
       "image.toml:10: [files] path must be the path of a file"},
      {"[[files]]\nsource = \"files\"\nmode = \"0644\"\n",
       "image.toml:10: [files] mode is for one file"},
      {"[[files]]\nsource = \"files\"\nmode = 420\n",
       "image.toml:10: [files] mode must be a string, found 420"},
      {"[[files]]\nsource = \"packages\"\npath = \"/a\"\nmode = \"0888\"\n",
       "image.toml:11: [files] mode must be a mode"},
      {"[[files]]\nsource = \"files\"\nowner = \"root\"\n",
       "image.toml:10: [files] owner must be UID:GID"},
      {"[[files]]\nsource = \"files\"\nowner = \"0:4294967296\"\n",
       "image.toml:10: [files] owner must be UID:GID"},
      {"[files]\nsource = \"files\"\n", "image.toml:8: files must be tables: [[files]]"},
      {"[units]\nenable = [\"agent\"]\n",
       "image.toml:9: [units] enable must be a list, each the name of a unit"},
      {"[kernel]\narguments = [\"a b\"]\n",
       "image.toml:9: [kernel] arguments must be a list, each one argument"},
      {"[node]\nhostname = \"-x\"\n", "image.toml:9: [node] hostname must be a host name"},
      {"[node]\nroot_password = \"geheim\"\n", "image.toml:9: [node] root_password must be a hash"},
      {"[node]\nauthorized_keys = [\"AAAA\"]\n",
       "image.toml:9: [node] authorized_keys must be a list, each the one line of a public key"},
      {"[node]\nnetworks = [\"packages\"]\n",
       "image.toml:9: [node] networks must be files of systemd-networkd"},
      {"[credentials]\n\"a/b\" = \"packages\"\n",
       "image.toml:9: [credentials] expected the name of a system credential"},
      {"[disk]\nformats = [\"vmdk\"]\n",
       "image.toml:9: [disk] formats must be a list, each raw or qcow2"},
      {"[disk]\nesp_size = \"0\"\n",
       "image.toml:9: [disk] esp_size must be a size such as 512M or 2G, found '0'"},
      {"[disk]\nslot_size = 2\n", "image.toml:9: [disk] slot_size must be a string, found 2"},
      {"[disk]\nstate_size = \"99999999999999T\"\n",
       "image.toml:9: [disk] state_size must be a size"},
      {"[disk]\nsector_size = 520\n",
       "image.toml:9: [disk] sector_size must be 512 or 4096, found 520"},
      {"required_signatures = 65\n",
       "image.toml:8: [trust] required_signatures must be a whole number from 1 to 64, found 65"},
      {"signatures = \"none\"\n",
       "image.toml:8: [trust] signatures must be classical, hybrid or pq"},
      {"signatures = [\n", "image.toml:8: "},
      {"[build]\noutput = \"\"\n", "image.toml:9: [build] output must be a path"},
  };
  for (const auto& [text, problem] : cases) {
    CAPTURE(text);
    CHECK_THAT(folder.Problem(least + text), StartsWith(problem));
  }
  const std::pair<const char*, const char*> releases[] = {
      {"version = 1.0", "image.toml:2: [release] version must be a string, found 1.0"},
      {"version = \"1 0\"", "image.toml:2: [release] version must be 1 to 29 characters"},
      {"support_end = \"soon\"", "image.toml:2: [release] support_end must be a date"},
      {"vendor_name = \"$(id)\"", "image.toml:2: [release] vendor_name must be a text"},
      {"initrd = \"zip\"", "image.toml:2: [release] initrd must be plain or compressed"},
  };
  for (const auto& [text, problem] : releases) {
    CAPTURE(text);
    CHECK_THAT(folder.Problem(std::format("[release]\n{}\n", text)), StartsWith(problem));
  }
  CHECK_THAT(
      folder.Problem("[repo]\npath = \"repo\"\n"),
      StartsWith("image.toml: expected [release] version, such as 1.0.0, in it or in a file"));
  CHECK(Held(folder.Load(least + "[packages]\nlist = \"link-in\"\n")).package_list ==
        folder.Path("link-in"));
}

TEST_CASE("an included file is read first, what includes it wins, and lists add up") {
  const Folder folder;
  WriteText(folder.Path("site/packages"), "");
  WriteText(
      folder.Path("site/common.toml"),
      "[release]\nchannel = \"beta\"\nversion = \"0.1\"\n[packages]\nadd = [\"htop\"]\nlist = "
      "\"packages\"\n");
  const ImageFile image = Held(folder.Load(std::string("include = [\"site/common.toml\"]\n") +
                                           kLeast + "[packages]\nadd = [\"strace\"]\n"));
  CHECK(image.version == "1.0.0");
  CHECK(image.channel == "beta");
  CHECK(image.package_list == folder.Path("site/packages"));  // relative to the file that names it
  REQUIRE(image.added.size() == 2);
  CHECK(image.added[0].place == folder.Path("site/common.toml:5"));
  CHECK(image.added[1].value == "strace");
}

TEST_CASE("includes that come back, go too deep or lead out are refused") {
  const Folder folder;
  const std::string least = kLeast;
  WriteText(folder.Path("a.toml"), "include = [\"b.toml\"]\n");
  WriteText(folder.Path("b.toml"), "# again\ninclude = [\"a.toml\"]\n");
  CHECK_THAT(folder.Problem("include = [\"a.toml\"]\n" + least),
             StartsWith("b.toml:2: include must be a list, each a file that does not include this "
                        "one: a.toml does"));
  CHECK_THAT(folder.Problem("include = [\"image.toml\"]\n" + least),
             StartsWith("image.toml:1: include must be"));
  CHECK_THAT(folder.Problem("include = [\"../outside\"]\n" + least),
             StartsWith("image.toml:1: include must be a list, each a path that is there, below"));
  CHECK_THAT(folder.Problem("include = [\"link-out\"]\n" + least),
             StartsWith("image.toml:1: include must be"));
  // The folder of the included file is the bound, not that of the first.
  WriteText(folder.Path("site/up.toml"), "include = [\"../a.toml\"]\n");
  CHECK_THAT(folder.Problem("include = [\"site/up.toml\"]\n" + least),
             StartsWith("site/up.toml:1: include must be"));
  for (int i = 0; i < 10; i++)
    WriteText(folder.Path(std::format("{}.toml", i)),
              std::format("include = [\"{}.toml\"]\n", i + 1));
  WriteText(folder.Path("10.toml"), "");
  CHECK_THAT(folder.Problem("include = [\"0.toml\"]\n" + least),
             ContainsSubstring("6.toml:1: include: expected at most 8 files"));
  std::string many;
  for (int i = 0; i < 70; i++) many += "\"10.toml\", ";
  CHECK_THAT(folder.Problem("include = [" + many + "]\n" + least),
             ContainsSubstring("expected at most 64 files"));
  WriteText(folder.Path("bad.toml"), "[release]\nversoin = \"1\"\n");
  CHECK_THAT(folder.Problem("include = [\"bad.toml\"]\n" + least),
             StartsWith("bad.toml:2: unknown key versoin in [release]"));
}

TEST_CASE("what --set says is read last, as a text or as TOML") {
  const Folder folder;
  const auto set = [&](const std::string& change) { return Held(folder.Load(kLeast, {change})); };
  CHECK(set("release.version=1.0").version == "1.0");
  CHECK(set("release.preview=true").preview);
  CHECK(set("packages.add=[\"htop\"]").added.size() == 1);
  CHECK(set("repo.path=/srv/hostos").repo == "/srv/hostos");
  CHECK_THAT(folder.Problem(kLeast, {"release.version"}),
             StartsWith("--set: expected SECTION.KEY=VALUE"));
  CHECK_THAT(folder.Problem(kLeast, {"release.versoin=1"}),
             StartsWith("--set release.versoin=1: unknown key versoin"));
  CHECK_THAT(folder.Problem(kLeast, {"release.version=a/b"}),
             StartsWith("--set release.version=a/b: [release] version must be"));
  CHECK_THAT(folder.Problem(kLeast, {"packages.list=../outside"}),
             ContainsSubstring("must be a path that is there"));
}

TEST_CASE("docs/image-toml.md and the example have every key") {
  const Folder folder;
  const std::string page = ReadText(HOSTOS_SOURCE_DIR "/docs/image-toml.md"), example = Example();
  std::set<std::string> found;
  for (const char* section : {"release", "packages", "units", "kernel", "node", "disk", "trust",
                              "repo", "build", "files"}) {
    const bool several = std::string_view(section) == "files";
    const std::string header = several ? "[[files]]" : std::format("[{}]", section);
    const std::string problem =
        folder.Problem(header + "\nzzz = 1\n" + (several ? "source = \"files\"\n" : ""));
    const size_t known = problem.find("known are: ");
    REQUIRE(known != problem.npos);
    std::string key;
    for (std::istringstream keys(problem.substr(known + 11)); keys >> key;) {
      if (key.ends_with(',')) key.pop_back();
      CAPTURE(header, key);
      CHECK_THAT(page, ContainsSubstring(std::format("\n| `{}` `{}` |", header, key)));
      CHECK_THAT(example.substr(example.find(header)),
                 ContainsSubstring(std::format("\n{} = ", key)));
      found.insert(header + key);
    }
  }
  CHECK(found.size() == 50);
  CHECK(std::ranges::count(page, '\n') > 50);
}

}  // namespace
}  // namespace hostos
