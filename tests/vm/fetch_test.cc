// The process that fetches, on a node: who can reach it, and what it can reach once somebody has
// taken it over.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <sstream>

#include "tests/held.h"
#include "tests/vm/milestones.h"

namespace hostos {
namespace {

using Catch::Matchers::ContainsSubstring;

std::string Bash(Node& node, const std::string& command, int exit_code = 0) {
  return Held(node.Run({"bash", "-euc", command + " 2>&1"}, exit_code, Node::kUpdateLimit));
}

// Changes the process's settings on the node.
void Drop(Node& node, const std::string& settings) {
  Bash(node,
       "mkdir -p /run/systemd/system/hostos-fetch@.service.d; echo '[Service]\n" + settings +
           "' >/run/systemd/system/hostos-fetch@.service.d/10-test.conf; systemctl daemon-reload");
}

constexpr const char* kAsNobody = "setpriv --reuid 65534 --regid 65534 --clear-groups ";
constexpr const char* kConnect = "socat -u UNIX-CONNECT:/run/hostos-fetch/socket - ";

TEST_CASE(
    "fetch: who is not root does not reach what fetches, and who is silent is in nobody's way") {
  auto node = Held(NodeAt(Milestone::kFirst, "fetch-socket"));
  // What monitoring may see.
  CHECK(Bash(*node, "find /run/hostos -type s").empty());
  CHECK(Bash(*node, "stat -c '%a %U' /run/hostos-fetch /run/hostos-fetch/socket") ==
        "700 root\n600 root\n");
  CHECK_THAT(Bash(*node, std::string(kAsNobody) + kConnect, 1), ContainsSubstring("Permission"));

  // As if somebody had opened it.
  Bash(*node, "chmod 0711 /run/hostos-fetch; chmod 0666 /run/hostos-fetch/socket");
  CHECK(Bash(*node, std::string(kAsNobody) + kConnect).empty());
  Bash(
      *node,
      "until journalctl -t fetch | grep 'expected hostctl of root to ask, found process .* of user "
      "65534'; do :; done");

  Bash(*node,
       "systemd-run --quiet --collect --unit silent socat -u UNIX-CONNECT:/run/hostos-fetch/socket "
       "-;"
       "until systemctl --quiet is-active 'hostos-fetch@*'; do :; done");
  Bash(*node, "hostctl update --check", 3);
}

// Prints each address that accepts a datagram. A blocked address gives an error at once.
constexpr const char* kAddresses = R"sh(
for address in 10.0.2.100 10.0.2.15 127.0.0.53 127.0.0.1 127.0.0.2 ::1 169.254.169.254 169.254.3.4 fe80::9%lo \
  224.0.0.251 fd00:ec2::254 fd20:ce::254 168.63.129.16 100.100.100.200; do
  if (echo x >"/dev/udp/$address/9") 2>&-; then echo "address $address"; fi
done
)sh";

// Prints what it may write to, what it may read that others may not, which sockets, processes and
// addresses it sees, and what else it can do.
constexpr const char* kTakenOver = R"sh(
exec >&0 2>/dev/null
cd /
shopt -s nullglob
look() { find / \( -path '/proc/[0-9]*' -o -path /proc/self -o -path /proc/thread-self \) -prune -o ! -type l "$@"; }
look -writable -printf 'writes %p\n'
look -type f -readable ! -perm -004 -printf 'reads %p\n'
look -type b -printf 'device %p\n'
look -type s -printf 'socket %p\n'
find /var /run /home /root /efi -mindepth 1 -maxdepth 2 -printf 'sees %p\n'
for process in /proc/[0-9]*; do
  if [ ! -O "$process" ]; then echo "process $process"; fi
done
if unshare --user true; then echo 'namespaces'; fi
if mount -t tmpfs tmpfs /tmp; then echo 'mounts'; fi
if timeout 60 socat -u TCP-LISTEN:7000 -; [ $? = 124 ]; then echo 'listens'; fi
if timeout 60 socat -u UNIX-LISTEN:/tmp/socket -; [ $? = 124 ]; then echo 'listens'; fi
grep -E '^Cap(Eff|Bnd|Amb|Prm):' /proc/self/status | grep -v ':.0*$'
grep -q '^NoNewPrivs:.1' /proc/self/status || echo 'new privileges'
grep -q '^Seccomp:.2' /proc/self/status || echo 'system calls'
)sh";

// docs/threat-model.md, "What a taken-over process that fetches reaches".
constexpr const char* kNamed[] = {
    "writes /dev/(null|zero|full|random|urandom|tty|ptmx|pts/ptmx)",
    "writes (/tmp|/var/tmp|/var/lib/hostos-fetch)(/.*)?",
    "writes /proc/pressure/(cpu|io|memory)",
    "reads (/tmp|/var/tmp|/var/lib/hostos-fetch)/.*",
    "(writes|socket) /run/systemd/resolve/io\\.systemd\\.Resolve(\\.Monitor)?",
    "sees (/var/lib|/var/tmp|/run/systemd|/run/user)",
    "sees /var/lib/hostos-fetch",
    "sees /run/systemd/(resolve|incoming)",
    "address (10\\.0\\.2\\.100|10\\.0\\.2\\.15|127\\.0\\.0\\.53)",
};

TEST_CASE(
    "fetch: taken over, it reaches its own files, the resolver and the network, and nothing else") {
  auto node = Held(NodeAt(Milestone::kFirst, "fetch-taken-over"));
  // Every address has a route: without the sandbox each can be reached.
  Bash(*node, R"sh(
sysctl -q net.ipv6.conf.lo.disable_ipv6=0
for address in 169.254.169.254/32 169.254.3.4/32 168.63.129.16/32 100.100.100.200/32 fd00:ec2::254/128 \
  fd20:ce::254/128 fe80::9/64; do
  ip address add $address dev lo
done
ip route add 224.0.0.251/32 dev lo)sh");
  const std::string all = Bash(*node, kAddresses);
  CHECK(std::ranges::count(all, '\n') == 14);
  INFO(all);

  Bash(*node, "hostctl update --check", 3);  // so that its own files exist
  Bash(*node, std::string("cat >/etc/taken-over <<'END'\n") + kTakenOver + kAddresses +
                  "echo done\nEND\nchmod 0644 /etc/taken-over");
  Drop(*node, "ExecStart=\nExecStart=/bin/bash /etc/taken-over");
  const std::string reached = Bash(*node, kConnect);
  INFO(reached);
  CHECK(reached.ends_with("done\n"));
  for (const char* expected :
       {"writes /var/lib/hostos-fetch/", "address 10.0.2.100\n", "address 127.0.0.53\n"})
    CHECK_THAT(reached, ContainsSubstring(expected));
  std::string unnamed;
  std::istringstream lines(reached);
  for (std::string line; std::getline(lines, line);)
    if (line != "done" && std::ranges::none_of(kNamed, [&](const char* named) {
          return Catch::Matchers::Matches(named).match(line);
        }))
      unnamed += line + "\n";
  CHECK(unnamed == "");
}

TEST_CASE("fetch: a mirror on the node is reached once a drop-in says so, and the error says how") {
  auto node = Held(NodeAt(Milestone::kFirst, "fetch-loopback"));
  Bash(*node, R"sh(
systemd-run --quiet --collect socat TCP-LISTEN:8080,bind=127.0.0.1,fork,reuseaddr TCP:10.0.2.100:8080
until socat -u /dev/null TCP:127.0.0.1:8080; do :; done
printf '[source]\nurl = "http://127.0.0.1:8080"\nallow_http = true\n' >/run/local.toml)sh");
  const std::string check = "hostctl update --check --config /run/local.toml";
  const std::string refused = Bash(*node, check, 8);
  CHECK_THAT(refused, ContainsSubstring("IPAddressAllow=127.0.0.1"));
  Drop(*node, "IPAddressAllow=127.0.0.1");
  Bash(*node, check, 3);
}

}  // namespace
}  // namespace hostos
