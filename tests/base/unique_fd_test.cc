#include "updater/base/unique_fd.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/temp_dir.h"

using namespace hostos;

TEST_CASE("a descriptor has one owner, is closed on exec, and closes once") {
  TempDir dir;
  UniqueFd fd = Open(dir / "f", O_RDWR | O_CREAT, 0644).value();
  CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
  int raw = fd.get();
  UniqueFd other = std::move(fd);
  CHECK_FALSE(fd);  // NOLINT(bugprone-use-after-move): a move leaves it empty
  CHECK(other.get() == raw);
  CHECK(other.Close());
  CHECK(::fcntl(raw, F_GETFD) == -1);
}

TEST_CASE("reads say how much there was, at any offset") {
  TempDir dir;
  UniqueFd fd = Open(dir / "f", O_RDWR | O_CREAT, 0644).value();
  REQUIRE(WriteFull(fd.get(), AsBytes("0123456789")));
  REQUIRE(PwriteFull(fd.get(), AsBytes("ab"), 4));
  std::byte buffer[8];
  CHECK(PreadFull(fd.get(), buffer, 4).value() == 6);
  CHECK(std::string(reinterpret_cast<char*>(buffer), 6) == "ab6789");
}

TEST_CASE("a file larger than the cap is refused, one of exactly the cap is not") {
  TempDir dir;
  UniqueFd fd = Open(dir / "f", O_RDWR | O_CREAT, 0644).value();
  REQUIRE(WriteFull(fd.get(), AsBytes("12345678")));
  CHECK(ReadFile(dir / "f", 8).value() == "12345678");
  CHECK_FALSE(ReadFile(dir / "f", 7));
  CHECK(ReadFile(dir / "none").error().code == Code::kNotFound);
}
