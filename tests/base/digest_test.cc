#include "updater/base/digest.h"

#include <catch2/catch_test_macros.hpp>

#include "updater/base/unique_fd.h"

using namespace hostos;

TEST_CASE("SHA-256 gives the value of FIPS 180-4's example") {
  CHECK(Sha256::Of(AsBytes("abc")).Hex() ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("a copied state goes on from the same prefix") {
  Sha256 prefix;
  prefix.Update(AsBytes("ab"));
  Sha256 copy = prefix;
  copy.Update(AsBytes("c"));
  prefix.Update(AsBytes("x"));
  CHECK(copy.Finish() == Sha256::Of(AsBytes("abc")));
  CHECK(prefix.Finish() == Sha256::Of(AsBytes("abx")));
}

TEST_CASE("hexadecimal digests are read strictly") {
  const std::string good(64, 'a');
  CHECK(Digest::FromHex(good).value().Hex() == good);
  CHECK_FALSE(Digest::FromHex(good.substr(1)));
  CHECK_FALSE(Digest::FromHex(good + "a"));
  CHECK_FALSE(Digest::FromHex(std::string(63, 'a') + "G"));
  CHECK_FALSE(Digest::FromHex(std::string(64, 'A')));
}
