//! Puts the shop together. The only file that names every module: what each is given here is all it can call.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::web::Data;
use chassis::auth::{Issuer, KeyError, Verifier};
use chassis::db::{self, Db, Migrations};
use chassis::health::Readiness;
use diesel_migrations::EmbeddedMigrations;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::accounts::{self, Accounts};
use crate::carts::{self, Carts};
use crate::catalog::{self, Catalog};
use crate::config::Settings;
use crate::flags::{FlagError, Sources};
use crate::import::Importer;
use crate::inventory::{self, Inventory};
use crate::notifications::{self, Notifications, Sink, SinkError};
use crate::orders::{self, Book, Orders};
use crate::payments::{self, Payments};
use crate::reports::{self, Reports};
use crate::seed;

/// The migrations of the shop.
pub const MIGRATIONS: Migrations = Migrations {
    sqlite: || SQLITE,
    postgres: || POSTGRES,
};

const SQLITE: EmbeddedMigrations = diesel_migrations::embed_migrations!("../migrations/monolith/sqlite");
const POSTGRES: EmbeddedMigrations = diesel_migrations::embed_migrations!("../migrations/monolith/postgres");

/// Why the shop could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened.
    #[error("database: {0}")]
    Database(#[from] db::Error),
    /// The session key cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The flags are wrong.
    #[error(transparent)]
    Flags(#[from] FlagError),
    /// A client for another process cannot be made.
    #[error("HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// The settings name no place for mails.
    #[error("notifications: {0}")]
    Sink(#[from] SinkError),
}

/// The modules, wired.
#[derive(Clone, Debug)]
pub struct App {
    db: Db,
    verifier: Verifier,
    catalog: Catalog,
    inventory: Inventory,
    carts: Carts,
    reports: Reports,
    notifications: Notifications,
    accounts: Accounts,
    payments: Payments,
    orders: Orders,
    sink: Sink,
}

impl App {
    /// Wires the modules. Must run inside the runtime: the flags are followed from here on.
    pub fn assemble(settings: &Settings) -> Result<Self, StartError> {
        let db = Db::open(settings.database.reveal(), &settings.pool)?;
        // Opened first, for it makes the pair of keys when there is none.
        let issuer = Issuer::open(&settings.auth.key_file)?;
        let verifier = Verifier::open(&public_key_file(settings))?;
        let flags = Sources::new(settings.flags.clone(), settings.flags_file.clone()).follow()?;
        let catalog = Catalog::new(db.clone(), &settings.catalog, flags)?;
        let inventory = Inventory::new(db.clone(), catalog.clone());
        let carts = Carts::new(db.clone(), catalog.clone());
        let notifications = Notifications::new(db.clone());
        let ttl = settings.auth.session_ttl_s;
        let accounts = Accounts::new(db.clone(), notifications.clone(), issuer, ttl);
        let verifier = verifier.asking(accounts.session_check());
        let book = Book::new(
            inventory.clone(),
            carts.clone(),
            accounts.clone(),
            notifications.clone(),
        );
        let payments = Payments::new(db.clone(), &settings.psp, Arc::new(book.clone()))?;
        let orders = Orders::new(db.clone(), book, catalog.clone(), payments.clone());
        let reports = Reports {
            db: db.clone(),
            catalog: catalog.clone(),
            inventory: inventory.clone(),
            notifications: notifications.clone(),
            orders: orders.clone(),
            payments: payments.clone(),
            currency: settings.currency.clone(),
        };
        let sink = Sink::parse(&settings.notifications.sink)?;
        Ok(Self {
            notifications,
            accounts,
            payments,
            orders,
            sink,
            db,
            verifier,
            catalog,
            inventory,
            carts,
            reports,
        })
    }

    /// Starts what goes on by itself, beside requests, until the process ends. Once per process.
    pub fn start_workers(&self) {
        self.inventory.start();
        self.notifications.start(self.sink.clone());
        self.payments.start();
        self.orders.start();
    }

    /// Takes part in hand-overs, if the settings say so, and gives the addresses where.
    pub async fn start_handover(&self, settings: &Settings) -> Result<Vec<SocketAddr>, handover::StartError> {
        match &settings.handover {
            Some(settings) => handover::start(settings, &[self.catalog.handed_over()]).await,
            None => Ok(Vec::new()),
        }
    }

    /// What readiness depends on.
    pub fn readiness(&self) -> Readiness {
        Readiness::new(self.db.clone(), MIGRATIONS)
    }

    /// Fills the shop with generated goods.
    pub fn seed(&self, order: &seed::Order) -> Result<seed::Report, seed::Error> {
        seed::run(&self.db, &self.catalog, &self.inventory, order)
    }

    /// What imports books, priced in `currency`.
    pub fn importer(&self, currency: String) -> Importer {
        Importer {
            db: self.db.clone(),
            catalog: self.catalog.clone(),
            accounts: self.accounts.clone(),
            orders: self.orders.clone(),
            currency,
        }
    }

    /// Gives the handlers their modules, and the server its routes.
    pub fn configure(&self, config: &mut ServiceConfig<'_>) {
        config.app_data(Data::new(self.verifier.clone()));
        config.app_data(Data::new(self.catalog.clone()));
        config.app_data(Data::new(self.inventory.clone()));
        config.app_data(Data::new(self.carts.clone()));
        config.app_data(Data::new(self.reports.clone()));
        config.app_data(Data::new(self.notifications.clone()));
        config.app_data(Data::new(self.accounts.clone()));
        config.app_data(Data::new(self.payments.clone()));
        config.app_data(Data::new(self.orders.clone()));
        routes(config);
    }
}

/// The routes of all modules.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.configure(catalog::routes);
    config.configure(inventory::routes);
    config.configure(carts::routes);
    config.configure(reports::routes);
    config.configure(notifications::routes);
    config.configure(accounts::routes);
    config.configure(payments::routes);
    config.configure(orders::routes);
}

/// Where the public key stands: beside the private one.
pub fn public_key_file(settings: &Settings) -> PathBuf {
    let mut path = settings.auth.key_file.clone().into_os_string();
    path.push(".pub");
    path.into()
}
