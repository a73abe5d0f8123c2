// How an operator logs in, as docs/rootfs.md says: credentials of the first boot, the console, SSH.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/held.h"
#include "tests/temp_dir.h"
#include "tests/vm/node.h"
#include "tests/vm/process.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

// A hash of the password "let me in", and an ed25519 SSH key pair: the public half as OpenSSH
// writes it, the private half as PKCS#8, which OpenSSH reads.
constexpr const char* kMakeCredentials = R"sh(
cd "$1"
openssl passwd -6 'let me in' | tr -d '\n' >password
openssl genpkey -algorithm ed25519 -out key
{ printf '\0\0\0\013ssh-ed25519\0\0\0\040'; openssl pkey -in key -pubout -outform DER | tail -c 32; } |
  base64 -w 0 | sed 's/^/ssh-ed25519 /' >key.pub
)sh";

// What somebody types and sees at the console.
class Console {
 public:
  // Asks for a prompt, because the first one may have come before.
  explicit Console(Node& node) : vm_(node.vm()), at_(Shown().size()) { Held(vm_.Type("\n")); }

  // Waits for the text in the output since the last match, then types the answer.
  void Expect(const std::string& text, const std::string& typed = "") {
    size_t found = std::string::npos;
    Held(vm_.WaitUntil([&] { return (found = Shown().find(text, at_)) != std::string::npos; },
                       Node::kCommandLimit, "\"" + text + "\" on the console"));
    at_ = found + text.size();
    if (!typed.empty()) Held(vm_.Type(typed));
  }

 private:
  std::string Shown() const { return vm_.Serial(vm_.Boots()); }
  Vm& vm_;
  size_t at_;
};

void LogIn(Console& console) {
  console.Expect("node-1 login: ", "root\n");
  console.Expect("Password: ", "let me in\n");
  console.Expect("# ", "echo $(id -un) on $(tty)\n");
  console.Expect("root on /dev/ttyS0");
  // bash's completion loads the completion of hostctl.
  console.Expect("# ", "hostctl statu\t--help\n");
  console.Expect("hostctl status --help");
  console.Expect("# ", "exit\n");
}

TEST_CASE("trial: root logs in on the console with a password, and over SSH with a key") {
  const TempDir directory;
  Held(Process::Run({"sh", "-euc", kMakeCredentials, "make", directory.path()}, directory / "log"));
  Rig rig;
  rig.credentials = {{"passwd.hashed-password.root", Held(ReadFile(directory / "password"))},
                     {"ssh.authorized_keys.root", Held(ReadFile(directory / "key.pub"))}};
  auto node = Held(Node::Start("login", Held(ReleaseSet::Open()), "", rig));
  Held(node->WaitBooted());

  Console first(*node);
  first.Expect("node-1 login: ", "root\n");
  first.Expect("Password: ", "let me out\n");
  first.Expect("Login incorrect");
  LogIn(first);

  // From the node to its own address: nobody else is on its network.
  const std::string key = Held(ReadFile(directory / "key"));
  const auto give_key = [&] {
    Held(node->Run({"sh", "-euc", "umask 077; printf '%s' \"$1\" >/run/key", "sh", key}));
  };
  give_key();
  const auto ssh = [&](const std::string& identity, int exit_code) {
    return Held(node->Run(
        {"ssh", "-oBatchMode=yes", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/run/known",
         "-oIdentitiesOnly=yes", "-i" + identity, "root@10.0.2.15", "id -un; hostname"},
        exit_code));
  };
  CHECK_THAT(ssh("/run/key", 0), ContainsSubstring("root\nnode-1\n"));
  CHECK_THAT(ssh("/etc/ssh/ssh_host_ed25519_key", 255),
             ContainsSubstring("Permission denied (publickey)"));

  // On the node: its manual, and an editor.
  CHECK_THAT(Held(node->Run({"sh", "-c", "man hostctl | sed 's/.\\x08//g'"})),  // no bold
             ContainsSubstring("rollback") && !ContainsSubstring("mandoc.db"));
  CHECK_THAT(Held(node->Run({"nano", "--version"})), ContainsSubstring("GNU nano"));

  Held(node->published().Publish("1.1.0"));
  Held(node->RunToReboot({"hostctl", "update", "--reboot"}, 1));
  CHECK(Held(node->Json({"status"}))["version"] == "1.1.0");
  Console second(*node);
  LogIn(second);
  give_key();
  CHECK_THAT(ssh("/run/key", 0), ContainsSubstring("root\nnode-1\n"));
}

}  // namespace
}  // namespace hostos
