//! Questions that are no questions of the protocol.

use anyhow::ensure;
use uuid::Uuid;

use handover::row::Key;

use crate::follows::add_things;
use crate::sides::Pair;

/// Each is told what is wrong with it, and a stranger learns nothing.
pub(crate) fn malformed(pair: &Pair) -> anyhow::Result<()> {
    pair.follow()?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let base = format!("{}/handover/v1", pair.monolith_url);
    let get = |path: &str, token: &str| {
        let request = client.get(format!("{base}/{path}")).bearer_auth(token);
        pair.runtime.block_on(async {
            let answer = request.send().await?;
            Ok::<_, anyhow::Error>((answer.status().as_u16(), answer.text().await?))
        })
    };
    for (path, status, kind) in [
        ("things/status?reached=x", 400, "malformed"),
        ("things/status?unknown=1", 400, "malformed"),
        ("things/changes?after=nonsense", 400, "malformed"),
        (
            "things/changes?after=00000000-0000-0000-0000-000000000000.1",
            410,
            "behind-the-floor",
        ),
        ("things/changes?limit=0", 400, "malformed"),
        ("things/changes?wait=31", 400, "malformed"),
        ("things/snapshot?table=users", 400, "malformed"),
        ("things/snapshot?table=things&after=1", 400, "malformed"),
        (
            "things/snapshot?table=things&after=%5B%22x%22%5D",
            400,
            "malformed",
        ),
        ("things/verify?table=things&detail=all", 400, "malformed"),
        ("others/status", 404, "module"),
        ("things/nothing", 400, "malformed"),
    ] {
        let (answered, body) = get(path, &pair.token)?;
        ensure!(
            answered == status && body.contains(&format!("urn:banyan:handover:{kind}")),
            "{path}: {answered} {body}"
        );
        let (answered, body) = get(path, "another")?;
        ensure!(
            answered == 401 && !body.contains("table"),
            "{path}: {answered} {body}"
        );
    }
    bodies(pair, &client, &base)
}

/// A member that nobody knows, in a short body and in one that is just within the limit; and a body beyond it.
fn bodies(pair: &Pair, client: &reqwest::Client, base: &str) -> anyhow::Result<()> {
    for (length, told) in [
        (0, "colour"),
        (1_000_000, "colour"),
        (2 << 20, "1048576 bytes at the most"),
    ] {
        let body = serde_json::json!({ "pass": Uuid::new_v4(), "colour": "r".repeat(length) });
        let post = client
            .post(format!("{base}/things/fence"))
            .bearer_auth(&pair.token);
        let answer = pair.runtime.block_on(async {
            let answer = post.json(&body).send().await?;
            Ok::<_, anyhow::Error>((answer.status().as_u16(), answer.text().await?))
        })?;
        ensure!(
            answer.0 == 400 && answer.1.contains("malformed") && answer.1.contains(told),
            "{length}: {answer:?}"
        );
    }
    Ok(())
}

/// As many as were asked for, but no more than 4,000 and no more than an answer has room for; and it says where the next begins.
pub(crate) fn rows_of_a_table(pair: &Pair) -> anyhow::Result<()> {
    pair.follow()?;
    add_things(pair, 5000)?;
    let ask = |after: i64, limit: usize| {
        let after = Key(vec![after.to_string()]);
        let asked = pair.monolith.side.snapshot("things", Some(&after), limit);
        let answer = pair.ask(asked)?;
        let id = |row: &handover::row::Row| row["id"].as_str().unwrap_or_default().parse::<i64>();
        let ids = answer.rows.iter().map(id).collect::<Result<Vec<_>, _>>()?;
        let expected: Vec<i64> = (1..=5000)
            .filter(|id| *id > after.0[0].parse().unwrap_or(0))
            .take(ids.len())
            .collect();
        ensure!(ids == expected, "after {after:?}: {ids:?}");
        Ok((ids.len(), answer.through.map(|key| key.0.concat())))
    };
    for (after, limit, rows, through) in [
        (0, 9999, 4000, Some("4000")),
        (0, 1500, 1500, Some("1500")),
        (0, 2000, 2000, Some("2000")),
        (4000, 4000, 1000, None),
        (3000, 2000, 2000, Some("5000")),
        (5000, 4000, 0, None),
    ] {
        let answer = ask(after, limit)?;
        ensure!(
            answer == (rows, through.map(str::to_owned)),
            "{limit} after {after}: {answer:?}"
        );
    }
    // A kilobyte and more in each note: of 4,000 there is no room for all.
    pair.monolith
        .rogue(&format!("UPDATE things SET note = '{}'", "long ".repeat(300)))?;
    let (rows, through) = ask(0, 4000)?;
    ensure!(
        (2000..3000).contains(&rows) && through == Some(rows.to_string()),
        "{rows} {through:?}"
    );
    // One that has room for itself alone comes alone.
    let huge = "huge ".repeat(1_000_000);
    pair.monolith
        .rogue(&format!("UPDATE things SET note = '{huge}' WHERE id IN (1, 3)"))?;
    ensure!(ask(0, 4000)? == (1, Some("1".to_owned())), "the first");
    ensure!(ask(1, 4000)? == (1, Some("2".to_owned())), "up to the next");
    Ok(())
}
