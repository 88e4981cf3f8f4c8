#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/pg_server.h"
#include "tests/support/sql.h"
#include "tests/support/teal_process.h"

namespace teal::test {

inline constexpr std::string_view kShopDatabase = "shop";
inline constexpr std::string_view kOwnerRole = "shop_owner";
inline constexpr std::string_view kTealRole = "teal";

/// What `write_config` puts into teal.yml.
struct ConfigOptions {
  std::string name = "shop";
  std::string blue = {};                      ///< "": teal's role on the fixture's blue
  std::string green = {};                     ///< "": teal's role on the fixture's green
  std::string more = "direction: forward\n";  ///< further lines of YAML
};

/// Two servers, blue and green, each with a database `shop` of the role `shop_owner`, which owns the tables, and a role
/// `teal` that has exactly the rights of docs/roles.sql. Neither is a superuser.
/// Each test has servers of its own; a test may stop, restart and reconfigure them.
class TwoNodeFixture : public testing::Test {
 protected:
  void SetUp() override;

  /// A fixture that needs other settings overrides these.
  [[nodiscard]] virtual PgServerOptions blue_options() const { return {}; }
  [[nodiscard]] virtual PgServerOptions green_options() const { return {}; }

  [[nodiscard]] PgServer& blue_server() { return *blue_server_; }
  [[nodiscard]] PgServer& green_server() { return *green_server_; }

  /// A superuser's session in the shop database, for judging and for what an administrator does. Kept open; made
  /// again after the server was restarted.
  Sql& blue();
  Sql& green();
  /// The application's session: it owns the tables.
  Sql& blue_owner();
  Sql& green_owner();
  /// New sessions of teal's role.
  [[nodiscard]] Sql blue_teal() const { return blue_server_->connect(kTealRole, kShopDatabase); }
  [[nodiscard]] Sql green_teal() const { return green_server_->connect(kTealRole, kShopDatabase); }

  /// Runs the statements as the tables' owner on both sides, with search_path = public; teal gets its rights on what
  /// they create in schema public through default privileges, on other schemas through `grant_schemas`.
  void create_tables_both(const std::string& statements);
  /// Runs docs/roles.sql again on both sides, for these schemas as well: "public,sales".
  void grant_schemas(const std::string& schemas);
  /// The owner's publication of the link blue -> green for `tables` ("public.orders"), on blue.
  void create_publication(const std::vector<std::string>& tables, const std::string& name = "shop");
  /// Writes a teal.yml in a directory of its own.
  [[nodiscard]] static std::filesystem::path write_yaml(const std::string& text);
  [[nodiscard]] std::filesystem::path write_config(const ConfigOptions& options = {}) const;

  void expect_equal(const std::string& table) { teal::test::expect_equal(blue(), green(), table); }
  void expect_all_equal() { teal::test::expect_all_equal(blue(), green()); }

 private:
  /// One session, made at its first use and again when the server has ended it.
  class Session {
   public:
    Sql& on(const PgServer& server, std::string_view user);

   private:
    std::unique_ptr<Sql> sql_;
  };

  // The sessions come last: they end before their servers.
  std::unique_ptr<PgServer> blue_server_;
  std::unique_ptr<PgServer> green_server_;
  Session blue_;
  Session green_;
  Session blue_owner_;
  Session green_owner_;
};

/// Makes the roles and the database on one server, as the fixture does: for tests with more than two.
void prepare_shop(PgServer& server);
/// One more database of `shop_owner`. `variables`: for docs/roles.sql, as below.
void prepare_database(PgServer& server, std::string_view name, const std::vector<std::string>& variables = {});

/// Runs docs/roles.sql through psql as a superuser. `variables`: "name=value", for psql's -v.
/// Errors: std::runtime_error with what psql said.
void run_roles_sql(const PgServer& server, const std::vector<std::string>& variables = {},
                   std::string_view database = kShopDatabase);

}  // namespace teal::test
