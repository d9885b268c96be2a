//! The SQL of the accounts module.

use chassis::db::Conn;
use chassis::time::now;
use chrono::{Duration, NaiveDateTime};
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::Error;
use super::schema::{addresses, customers, sessions};

/// A customer.
#[derive(Clone, Debug, Queryable)]
pub(super) struct Customer {
    pub(super) id: i64,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) version: i64,
    pub(super) created_at: NaiveDateTime,
}

/// What a customer says about itself; `None` leaves things as they are.
#[derive(Clone, Debug, Default, AsChangeset)]
#[diesel(table_name = customers)]
pub(super) struct Change {
    pub(super) email: Option<String>,
    /// The e-mail address in lower case.
    pub(super) login: Option<String>,
    pub(super) name: Option<String>,
    pub(super) password_hash: Option<String>,
}

/// An address.
#[derive(Clone, Debug, Queryable)]
pub(super) struct Address {
    pub(super) id: i64,
    pub(super) line1: String,
    pub(super) line2: Option<String>,
    pub(super) city: String,
    pub(super) postcode: Option<String>,
    pub(super) country: String,
}

type Columns = (
    customers::id,
    customers::email,
    customers::name,
    customers::version,
    customers::created_at,
);
type AddressColumns = (
    addresses::id,
    addresses::line1,
    addresses::line2,
    addresses::city,
    addresses::postcode,
    addresses::country,
);

/// The customer with this id, unless it was deleted.
pub(super) fn find(conn: &mut Conn, id: i64) -> QueryResult<Option<Customer>> {
    customers::table
        .find(id)
        .filter(customers::deleted_at.is_null())
        .select(Columns::default())
        .first(conn)
        .optional()
}

/// Adds a customer.
pub(super) fn insert(
    conn: &mut Conn,
    email: &str,
    name: &str,
    password_hash: &str,
) -> Result<Customer, Error> {
    let inserted = diesel::insert_into(customers::table)
        .values((
            customers::email.eq(email),
            customers::login.eq(Some(email.to_lowercase())),
            customers::name.eq(name),
            customers::password_hash.eq(Some(password_hash)),
            customers::version.eq(1),
            customers::created_at.eq(now()),
        ))
        .returning(customers::id)
        .get_result::<i64>(conn);
    let id = unless_taken(inserted)?;
    find(conn, id)?.ok_or(Error::NoCustomer(id))
}

/// Changes what is given, and nothing else: another change that is on its way is not undone.
pub(super) fn change(conn: &mut Conn, id: i64, change: &Change) -> Result<Customer, Error> {
    let live = customers::table.find(id).filter(customers::deleted_at.is_null());
    let updated = diesel::update(live)
        .set((change, customers::version.eq(customers::version + 1)))
        .execute(conn);
    if unless_taken(updated)? == 0 {
        return Err(Error::NoCustomer(id));
    }
    if change.password_hash.is_some() {
        end_sessions(conn, id)?;
    }
    find(conn, id)?.ok_or(Error::NoCustomer(id))
}

/// Forgets who a customer was. The row stays, for its orders do, and so does the reference: the same books imported again
/// must find it.
pub(super) fn delete(conn: &mut Conn, id: i64) -> Result<(), Error> {
    let deleted = diesel::update(customers::table.find(id).filter(customers::deleted_at.is_null()))
        .set((
            customers::email.eq(format!("deleted-{id}@deleted.invalid")),
            customers::login.eq(None::<String>),
            customers::name.eq("deleted"),
            customers::password_hash.eq(None::<String>),
            customers::deleted_at.eq(Some(now())),
        ))
        .execute(conn)?;
    if deleted == 0 {
        return Err(Error::NoCustomer(id));
    }
    diesel::delete(addresses::table.filter(addresses::customer_id.eq(id))).execute(conn)?;
    end_sessions(conn, id)?;
    Ok(())
}

/// The customer of old books with this reference; made if need be.
pub(super) fn by_reference(conn: &mut Conn, reference: &str) -> QueryResult<i64> {
    let known = customers::table
        .filter(customers::reference.eq(reference))
        .select(customers::id);
    if let Some(id) = known.first(conn).optional()? {
        return Ok(id);
    }
    let insert = diesel::insert_into(customers::table)
        .values((
            customers::email.eq(format!("{reference}@import.invalid")),
            customers::name.eq(format!("Customer {reference}")),
            customers::reference.eq(Some(reference)),
            customers::version.eq(1),
            customers::created_at.eq(now()),
        ))
        .on_conflict_do_nothing();
    match conn {
        Conn::Postgres(conn) => insert.execute(conn)?,
        Conn::Sqlite(conn) => insert.execute(conn)?,
    };
    customers::table
        .filter(customers::reference.eq(reference))
        .select(customers::id)
        .first(conn)
}

/// Whom an e-mail address belongs to, and what its password must match.
#[derive(Clone, Debug, Queryable)]
pub(super) struct Login {
    pub(super) customer_id: i64,
    pub(super) password_hash: Option<String>,
}

/// The login with this e-mail address.
pub(super) fn login(conn: &mut Conn, email: &str) -> QueryResult<Option<Login>> {
    customers::table
        .filter(customers::login.eq(email.to_lowercase()))
        .select((customers::id, customers::password_hash))
        .first(conn)
        .optional()
}

/// Begins a session and gives its id, if the login is still what it was when the password was checked. Sessions of the
/// same customer whose tokens are long past are swept out.
pub(super) fn begin_session(conn: &mut Conn, login: &Login, ttl_s: i64) -> Result<i64, Error> {
    let customer = login.customer_id;
    if hold(conn, customer)?.is_none_or(|hash| hash != login.password_hash) {
        return Err(Error::WrongCredentials);
    }
    let past = sessions::expires_at.lt(now() - Duration::hours(1));
    diesel::delete(
        sessions::table
            .filter(sessions::customer_id.eq(customer))
            .filter(past),
    )
    .execute(conn)?;
    let id = diesel::insert_into(sessions::table)
        .values((
            sessions::customer_id.eq(customer),
            sessions::expires_at.eq(now() + Duration::seconds(ttl_s)),
        ))
        .returning(sessions::id)
        .get_result(conn)?;
    Ok(id)
}

/// Keeps a customer as it is until the transaction ends, so that nothing is added to one that leaves meanwhile. Gives its
/// password hash; the outer `None` says that there is no such customer. On SQLite the transaction itself is the lock.
fn hold(conn: &mut Conn, id: i64) -> QueryResult<Option<Option<String>>> {
    let live = customers::table
        .select(customers::password_hash)
        .find(id)
        .filter(customers::deleted_at.is_null());
    match conn {
        Conn::Postgres(conn) => live.for_share().first(conn).optional(),
        Conn::Sqlite(conn) => live.first(conn).optional(),
    }
}

/// Whether a session was not ended yet. When it expires is the token's affair.
pub(super) fn session_runs(conn: &mut Conn, session: i64) -> QueryResult<bool> {
    let running: i64 = sessions::table
        .find(session)
        .filter(sessions::ended_at.is_null())
        .count()
        .get_result(conn)?;
    Ok(running > 0)
}

/// Ends a session; again changes nothing.
pub(super) fn end_session(conn: &mut Conn, session: i64) -> QueryResult<()> {
    diesel::update(sessions::table.find(session).filter(sessions::ended_at.is_null()))
        .set(sessions::ended_at.eq(Some(now())))
        .execute(conn)
        .map(drop)
}

fn end_sessions(conn: &mut Conn, customer: i64) -> QueryResult<()> {
    diesel::update(
        sessions::table
            .filter(sessions::customer_id.eq(customer))
            .filter(sessions::ended_at.is_null()),
    )
    .set(sessions::ended_at.eq(Some(now())))
    .execute(conn)
    .map(drop)
}

/// A customer's addresses by id, after `after`.
pub(super) fn addresses_of(
    conn: &mut Conn,
    customer: i64,
    after: Option<i64>,
    limit: i64,
) -> QueryResult<Vec<Address>> {
    addresses::table
        .filter(addresses::customer_id.eq(customer))
        .filter(addresses::id.gt(after.unwrap_or(0)))
        .order(addresses::id.asc())
        .limit(limit)
        .select(AddressColumns::default())
        .load(conn)
}

/// Adds an address; its id is made here.
pub(super) fn insert_address(conn: &mut Conn, customer: i64, new: &Address) -> Result<Address, Error> {
    hold(conn, customer)?.ok_or(Error::NoCustomer(customer))?;
    let id: i64 = diesel::insert_into(addresses::table)
        .values((
            addresses::customer_id.eq(customer),
            addresses::line1.eq(&new.line1),
            addresses::line2.eq(&new.line2),
            addresses::city.eq(&new.city),
            addresses::postcode.eq(&new.postcode),
            addresses::country.eq(&new.country),
        ))
        .returning(addresses::id)
        .get_result(conn)?;
    Ok(Address { id, ..new.clone() })
}

/// Removes an address of this customer.
pub(super) fn delete_address(conn: &mut Conn, customer: i64, address: i64) -> Result<(), Error> {
    let own = addresses::table
        .find(address)
        .filter(addresses::customer_id.eq(customer));
    match diesel::delete(own).execute(conn)? {
        0 => Err(Error::NoAddress(address)),
        _ => Ok(()),
    }
}

fn unless_taken<T>(result: QueryResult<T>) -> Result<T, Error> {
    result.map_err(|error| {
        let error = chassis::db::Error::from(error);
        if error.is_unique_violation() {
            Error::EmailTaken
        } else {
            error.into()
        }
    })
}
