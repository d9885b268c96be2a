//! What the database layer promises, on SQLite; the behaviour suite holds it to the same on PostgreSQL.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::*;

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

fn count(conn: &mut Conn) -> Result<i64, Error> {
    let row: Count = diesel::sql_query("SELECT n FROM counter").get_result(conn)?;
    Ok(row.n)
}

async fn counter(dir: &tempfile::TempDir) -> Db {
    let url = format!("sqlite:{}", dir.path().join("t.db").display());
    let db = Db::open(&url, &PoolSettings::default()).unwrap();
    db.write(|conn| -> Result<(), Error> {
        diesel::sql_query("CREATE TABLE counter (n BIGINT NOT NULL)").execute(conn)?;
        diesel::sql_query("INSERT INTO counter VALUES (0)").execute(conn)?;
        Ok(())
    })
    .await
    .unwrap();
    db
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn read_then_write_loses_no_update() {
    let dir = tempfile::tempdir().unwrap();
    let db = counter(&dir).await;
    let increments = (0..200).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            db.write(|conn| -> Result<(), Error> {
                let n = count(conn)? + 1;
                diesel::sql_query(format!("UPDATE counter SET n = {n}")).execute(conn)?;
                Ok(())
            })
            .await
        })
    });
    for increment in increments.collect::<Vec<_>>() {
        increment.await.unwrap().unwrap();
    }
    assert_eq!(db.read(count).await.unwrap(), 200);
}

#[tokio::test]
async fn work_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = counter(&dir).await;
    let refused: Result<(), Error> = db
        .write(|conn| {
            diesel::sql_query("UPDATE counter SET n = 7").execute(conn)?;
            Err(Error::Busy)
        })
        .await;
    assert!(refused.is_err());
    assert_eq!(db.read(count).await.unwrap(), 0);
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_soon() {
    // Bound and not listening: nobody is there, and nobody else can be.
    let server = tokio::net::TcpSocket::new_v4().unwrap();
    server.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("postgres://nobody@{}/nothing", server.local_addr().unwrap());
    let db = Db::open(&url, &PoolSettings::default()).unwrap();
    let asked = tokio::spawn(async move { db.read(count).await });
    // So long that a pause which doubles would be longer than what is allowed below.
    tokio::time::sleep(std::time::Duration::from_millis(3500)).await;
    let listener = server.listen(1).unwrap();
    let found = tokio::time::timeout(std::time::Duration::from_secs(1), listener.accept()).await;
    asked.abort();
    assert!(found.is_ok(), "not within a second");
}
