//! Questions that are no questions of the protocol.

use anyhow::ensure;
use uuid::Uuid;

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
