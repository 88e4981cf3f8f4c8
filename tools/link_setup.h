#pragma once
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/catalog.h"
#include "engine/config.h"
#include "engine/names.h"
#include "engine/pg_connection.h"
#include "engine/publication.h"
#include "tools/link_facts.h"

namespace teal {

/// The steps in which a link is set up, between the two sides that it has: each is safe to repeat. Errors of all of
/// them: PgError; Stopped(kRefused) as they say.
struct LinkSetup {
  const Config& config;
  const std::stop_token& stop;
  LinkNames link;
  PgConnection source;
  PgConnection target;
  ServerFacts source_facts;
  TablesToPublish published;        ///< what is selected on the source
  std::vector<SourceTable> tables;  ///< of these, those with rows
};

/// What every link's control publication lists.
[[nodiscard]] TablesToPublish control_tables();

/// Connects and reads what is selected. Lifetime: `config` and `stop` outlive it.
[[nodiscard]] LinkSetup open_link_setup(const Config& config, const LinkNames& link, const std::stop_token& stop);

/// Two at a time wait for each other. Errors: Stopped(kRefused) when another one holds it for ten seconds.
void take_setup_lock(LinkSetup& setup);
/// Errors: Stopped(kRefused) when the migration's name serves another target.
void claim_source(LinkSetup& setup);
/// Makes the publication, or adds what it lacks.
void complete_publication(LinkSetup& setup, const std::string& name, const TablesToPublish& tables);
/// The link's, and those of so many copy workers.
/// Errors: Stopped(kRefused) when the link had one, and another link reads what was written under it.
void create_origins(LinkSetup& setup, int copy_workers);

/// The slot, and with its consistent point the progress row, in one transaction with what `note_tables` writes to the
/// target. `seen`: up to where the source has the target's log. A slot that is there was never used: it is made anew.
void create_link(LinkSetup& setup, Lsn seen, const std::function<void()>& note_tables);
/// Errors: Stopped(kRefused) when the source is another cluster than the row says.
void check_source(const LinkSetup& setup, const LinkRow& row);
/// Slot and row fit together. Errors: Stopped(kRefused) when going on would lose changes.
void check_link(LinkSetup& setup, const std::optional<SlotFacts>& slot, const LinkRow& row);

/// To be asked before the publication is completed: afterwards it would look as if nothing had been missing.
/// Errors: as check_publication and settle_departed.
void check_published_all_along(LinkSetup& setup);

void insert_pending(LinkSetup& setup, const SourceTable& table);
void set_table_state(LinkSetup& setup, const TableName& table, const std::string& state);

}  // namespace teal
