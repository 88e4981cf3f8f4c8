// Rights and tables that are not as they have to be: `teal check` finds each, prints what mends it, and that does mend
// it. `teal run` refuses with the same words, and leaves nothing behind.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/scenario/sidecar_fixture.h"

namespace teal::test {
namespace {

using testing::HasSubstr;
using testing::Not;

/// One thing to take away or to spoil, and what teal has to say about it.
struct Break {
  std::string side;
  std::string sql;   ///< run by a superuser in database shop
  std::string says;  ///< part of the finding
  std::string mend;  ///< how the mend begins, or a part of it
};

class MissingRights : public SidecarFixture {
 protected:
  void SetUp() override {
    SidecarFixture::SetUp();
    create_tables_both("CREATE TABLE item (id bigserial PRIMARY KEY, name text)");
    blue_owner().exec("INSERT INTO item (name) VALUES ('one')");
    create_publication({"public.item"});
    configure("copy: { schema: false }\n");
  }

  Sql& side(const std::string& name) { return name == "blue" ? blue() : green(); }

  nlohmann::json findings(int exit_code) {
    const TealResult result = command({"check", "--json"});
    EXPECT_EQ(result.exit_code, exit_code) << result.out << result.err;
    return nlohmann::json::parse(result.out).at("findings");
  }

  /// Does what a finding says, as an administrator in database shop would.
  void mend(const nlohmann::json& finding) {
    std::string sql = finding.at("mend");
    constexpr std::string_view kWhere = "in database shop: ";
    if (sql.starts_with(kWhere)) sql.erase(0, kWhere.size());
    side(finding.at("side")).exec(sql);
  }

  void expect_found_and_mended(const Break& broken) {
    SCOPED_TRACE(broken.side + ": " + broken.sql);
    side(broken.side).exec(broken.sql);
    const nlohmann::json found = findings(1);
    ASSERT_EQ(found.size(), 1U) << found.dump(2);
    EXPECT_EQ(found[0].at("side"), broken.side);
    EXPECT_THAT(found[0].at("what").get<std::string>(), HasSubstr(broken.says));
    EXPECT_THAT(found[0].at("mend").get<std::string>(), HasSubstr(broken.mend));
    const TealResult refused = command({"run"});
    EXPECT_EQ(refused.exit_code, 1) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr(found[0].at("what").get<std::string>()));
    EXPECT_THAT(refused.err, HasSubstr(found[0].at("mend").get<std::string>()));
    expect_no_trace(1);
    mend(found[0]);
    EXPECT_EQ(findings(0).size(), 0U);
  }
};

const std::vector<Break> kRights = {
    {"blue", "ALTER ROLE teal NOREPLICATION", "lacks REPLICATION", "ALTER ROLE \"teal\" REPLICATION"},
    {"blue", "REVOKE SELECT ON item FROM teal", "may not read", "GRANT SELECT ON \"public\".\"item\""},
    {"blue", "REVOKE USAGE ON SCHEMA public FROM teal, public", "may not use the schemas public", "GRANT USAGE"},
    {"blue", "REVOKE CREATE ON DATABASE shop FROM teal", "may not create the schema teal", "GRANT CREATE ON DATABASE"},
    {"green", "REVOKE CREATE ON DATABASE shop FROM teal", "may not create the schema teal", "GRANT CREATE ON DATABASE"},
    {"green", "REVOKE USAGE ON SCHEMA public FROM teal, public", "may not use the schema", "GRANT USAGE"},
    {"green", "REVOKE INSERT ON item FROM teal", "lacks INSERT", "GRANT INSERT"},
    {"green", "REVOKE SELECT, UPDATE, DELETE ON item FROM teal", "lacks SELECT, UPDATE, DELETE", "GRANT SELECT"},
    {"green", "REVOKE TRUNCATE ON item FROM teal", "lacks TRUNCATE", "GRANT TRUNCATE"},
    {"green", "REVOKE SET ON PARAMETER session_replication_role FROM teal", "session_replication_role",
     "GRANT SET ON PARAMETER"},
    {"green", "REVOKE EXECUTE ON FUNCTION pg_replication_origin_create(text) FROM teal", "replication origins",
     "GRANT EXECUTE ON FUNCTION pg_catalog.pg_replication_origin_create"},
    {"green", "REVOKE EXECUTE ON FUNCTION pg_replication_origin_xact_setup(pg_lsn, timestamptz) FROM teal",
     "replication origins", "pg_replication_origin_xact_setup"},
};

TEST_F(MissingRights, EachIsFoundAloneAndItsMendMendsIt) {
  ASSERT_EQ(findings(0).size(), 0U);
  for (const Break& broken : kRights) expect_found_and_mended(broken);
  EXPECT_EQ(run_until_synced().exit_code, 0);
  expect_equal("public.item");
}

TEST_F(MissingRights, S16AllAreReportedAtOnce) {
  for (const Break& broken : kRights) side(broken.side).exec(broken.sql);
  nlohmann::json found = findings(1);
  EXPECT_GE(found.size(), 8U) << found.dump(2);
  // One right can hide what is behind it, a schema's tables for example: a second round may be needed, no third.
  for (const nlohmann::json& finding : found) mend(finding);
  const TealResult again = command({"check", "--json"});
  for (const nlohmann::json& finding : nlohmann::json::parse(again.out).at("findings")) mend(finding);
  EXPECT_EQ(findings(0).size(), 0U);
}

TEST_F(MissingRights, TableOnGreenThatDiffersIsNamed) {
  const std::vector<Break> breaks = {
      {"green", "ALTER TABLE item DROP COLUMN name", "public.item lacks the column name", "ADD COLUMN \"name\" text"},
      {"green", "ALTER TABLE item DROP CONSTRAINT item_pkey", "public.item has no unique index on its key",
       "ADD UNIQUE (\"id\")"},
      {"green", "ALTER TABLE item ADD COLUMN more int NOT NULL", "public.item.more is NOT NULL without a default",
       "DROP NOT NULL"},
      {"green", "ALTER TABLE item ALTER COLUMN name TYPE varchar(5)", "public.item.name is", "TYPE text"},
  };
  for (const Break& broken : breaks) expect_found_and_mended(broken);
}

TEST_F(MissingRights, TableThatGreenLacksIsNamed) {
  green().exec("DROP TABLE item");
  const nlohmann::json found = findings(1);
  ASSERT_EQ(found.size(), 1U) << found.dump(2);
  EXPECT_THAT(found[0].at("what").get<std::string>(), HasSubstr("missing tables: public.item"));
  EXPECT_THAT(found[0].at("mend").get<std::string>(), HasSubstr("copy.schema: true"));
  const TealResult refused = command({"run"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("missing tables: public.item"));
  expect_no_trace(1);
}

TEST_F(MissingRights, I5TableWithRowSecurityIsRefusedOnEitherSide) {
  for (const char* name : {"blue", "green"}) {
    expect_found_and_mended({name, "ALTER TABLE item ENABLE ROW LEVEL SECURITY",
                             "row security hides rows of public.item", "ALTER ROLE \"teal\" BYPASSRLS"});
    side(name).exec("ALTER TABLE item DISABLE ROW LEVEL SECURITY; ALTER ROLE teal NOBYPASSRLS");
  }
}

TEST_F(MissingRights, MissingPublicationIsPrintedForTheOwner) {
  blue().exec("DROP PUBLICATION teal_shop_blue_to_green");
  const nlohmann::json found = findings(1);
  ASSERT_EQ(found.size(), 1U) << found.dump(2);
  const std::string mend_text = found[0].at("mend");
  EXPECT_THAT(mend_text, HasSubstr("as shop_owner"));
  EXPECT_EQ(command({"run"}).exit_code, 1);
  expect_no_trace(0);
  blue_owner().exec(mend_text.substr(mend_text.find("CREATE PUBLICATION")));
  EXPECT_EQ(findings(0).size(), 0U);
}

/// teal's role may make publications here: it has the rights of the tables' owner.
class UnusableIdentity : public MissingRights {
 protected:
  void SetUp() override {
    MissingRights::SetUp();
    blue().exec("DROP PUBLICATION teal_shop_blue_to_green; GRANT shop_owner TO teal");
    green().exec("GRANT shop_owner TO teal");
  }
};

TEST_F(UnusableIdentity, E1TableWithoutOneIsRefusedBeforeAnythingIsPublished) {
  const std::vector<Break> tables = {
      {"", "CREATE TABLE bad (id int, n int)", "has no primary key", "ADD PRIMARY KEY"},
      {"", "CREATE TABLE bad (id int PRIMARY KEY DEFERRABLE, n int)", "has a deferrable primary key",
       "DROP CONSTRAINT"},
      {"", "CREATE TABLE bad (id int PRIMARY KEY, n int); ALTER TABLE bad REPLICA IDENTITY NOTHING",
       "has REPLICA IDENTITY NOTHING", "REPLICA IDENTITY DEFAULT"},
  };
  for (const Break& table : tables) {
    SCOPED_TRACE(table.sql);
    create_tables_both(table.sql);
    blue_owner().exec("INSERT INTO bad VALUES (1, 1)");
    const nlohmann::json found = findings(1);
    ASSERT_EQ(found.size(), 1U) << found.dump(2);
    EXPECT_THAT(found[0].at("what").get<std::string>(), HasSubstr("public.bad " + table.says));
    EXPECT_THAT(found[0].at("mend").get<std::string>(), HasSubstr(table.mend));
    for (const char* name : {"run", "init"}) {
      const TealResult refused = command({name});
      EXPECT_EQ(refused.exit_code, 1);
      EXPECT_THAT(refused.err, HasSubstr("public.bad " + table.says));
    }
    expect_no_trace(0);
    // Published, this would fail: "cannot update table because it does not have a replica identity".
    blue_owner().exec("UPDATE bad SET n = n + 1; DELETE FROM bad");
    create_tables_both("DROP TABLE bad");
  }
  EXPECT_EQ(findings(0).size(), 0U);
}

/// Passwords are asked for; the right ones are canaries, which must not be seen anywhere.
class Passwords : public SidecarFixture {
 protected:
  static constexpr const char* kRight = "canary-6f1d";
  static constexpr const char* kWrong = "canary-wrong-93ab";

  [[nodiscard]] PgServerOptions blue_options() const override { return {.passwords = true}; }
  [[nodiscard]] PgServerOptions green_options() const override { return {.passwords = true}; }

  void SetUp() override {
    SidecarFixture::SetUp();
    for (Sql* sql : {&blue(), &green()}) {
      sql->exec("ALTER ROLE teal PASSWORD " + sql_text(kRight));
      sql->exec("SET ROLE shop_owner; CREATE TABLE item (id int PRIMARY KEY, name text)");
    }
    blue().exec("INSERT INTO item VALUES (1, 'one'); CREATE PUBLICATION teal_shop_blue_to_green FOR TABLE item");
    for (Sql* sql : {&blue(), &green()}) sql->exec("RESET ROLE");
  }

  void configure_with(const std::string& blue_password, const std::string& green_password) {
    config_ = write_config({.blue = blue_server().uri(kTealRole, kShopDatabase, blue_password),
                            .green = green_server().uri(kTealRole, kShopDatabase, green_password),
                            .more = "direction: forward\ncopy: { schema: false }\n"})
                  .string();
  }

  static void expect_no_password(const TealResult& result) {
    EXPECT_THAT(result.out, Not(HasSubstr("canary")));
    EXPECT_THAT(result.err, Not(HasSubstr("canary")));
  }
};

TEST_F(Passwords, WrongOneIsRefusedWithoutBeingShown) {
  for (const char* name : {"blue", "green"}) {
    const bool blue_wrong = std::string(name) == "blue";
    configure_with(blue_wrong ? kWrong : kRight, blue_wrong ? kRight : kWrong);
    for (const char* word : {"check", "run", "init", "status", "finish --yes"}) {
      const bool finish = std::string(word).starts_with("finish");
      const TealResult result = finish ? command({"finish", "--yes"}) : command({word});
      EXPECT_EQ(result.exit_code, 4) << word << result.err;
      EXPECT_THAT(result.out + result.err, HasSubstr(name));
      EXPECT_THAT(result.out + result.err, HasSubstr("password authentication failed"));
      EXPECT_THAT(result.out + result.err, HasSubstr("check user and password"));
      expect_no_password(result);
    }
  }
  expect_no_trace(1);
}

TEST_F(Passwords, S5RightOneIsShownNowhereAtAnyLevelOfTheLog) {
  configure_with(kRight, kRight);
  for (const char* word : {"check", "init", "status", "version"}) expect_no_password(command({word}));
  const TealResult result = command({"--log-level", "debug", "run", "--until-synced"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  expect_no_password(result);
  expect_equal("public.item");
}

TEST_F(Passwords, S5BrokenConnectionStringIsNotQuoted) {
  config_ = write_config({.blue = "\"postgresql://teal:canary-1%zz@127.0.0.1/shop\""}).string();
  const TealResult result = command({"check"});
  EXPECT_EQ(result.exit_code, 2) << result.out << result.err;
  EXPECT_THAT(result.err, HasSubstr("blue: is not a connection string"));
  expect_no_password(result);
}

}  // namespace
}  // namespace teal::test
