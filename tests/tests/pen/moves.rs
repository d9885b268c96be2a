//! The five moves of a pass, in order and out of it.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chassis::db::Conn;
use diesel::connection::SimpleConnection;
use handover::client::{Error, Side};
use handover::wire::{Abort, Accept, Fence, Grant, Pen, Position, Proof, State, Turn};
use uuid::Uuid;

use crate::sides::{End, Pair};

pub(crate) fn fence(pass: Uuid, epoch: u64, to: &str, expires_ms: u64) -> Fence {
    Fence {
        pass,
        epoch,
        to: to.to_owned(),
        expires_ms,
        wait_ms: 300,
    }
}

/// The follower's word that it has come to the end of a feed.
pub(crate) fn proof(pair: &Pair, follower: &Side, fenced: &Pen) -> anyhow::Result<Proof> {
    let until = fenced.position.context("a fence says where")?;
    pair.until("the follower has everything", || {
        let status = pair.ask(follower.status_at(until, Duration::from_secs(1)))?;
        let follow = status.follow.context("it follows")?;
        Ok((follow.reached >= Some(until)).then_some(Proof {
            side: status.side,
            feed: follow.feed,
            reached: follow.reached,
        }))
    })
}

/// A whole pass; the pen of the new holder.
pub(crate) fn pass(pair: &Pair, from: &Side, to: &Side) -> anyhow::Result<Pen> {
    let (pass, before) = (Uuid::new_v4(), pair.ask(from.status())?.pen);
    let fenced = pair.ask(from.fence(&fence(pass, before.epoch, to.name(), 20_000)))?;
    let proof = proof(pair, to, &fenced)?;
    let granted = pair.ask(from.grant(&Grant {
        pass,
        epoch: before.epoch,
        proof,
    }))?;
    let accepted = pair.ask(to.accept(&Accept { receipt: granted }))?;
    pair.ask(from.turn(&Turn {
        receipt: accepted.clone(),
    }))?;
    Ok(accepted)
}

/// There and back twice, with writes on each side, ids that go on, and both sides equal after each pass.
pub(crate) fn there_and_back(pair: &Pair) -> anyhow::Result<()> {
    pair.monolith
        .rogue("INSERT INTO things (sku, note) VALUES ('A', 'a'), ('B', 'b')")?;
    pair.follow()?;
    let write = |end: &End, other: &End, round: u64| -> anyhow::Result<()> {
        end.write(
            pair,
            &format!("INSERT INTO things (sku) VALUES ('R-{round}'), ('gone-{round}')"),
        )?;
        end.write(pair, &format!("DELETE FROM things WHERE sku = 'gone-{round}'"))?;
        end.write(
            pair,
            &format!("UPDATE things SET note = 'round {round}' WHERE sku = 'A'"),
        )?;
        ensure!(
            other.write(pair, "UPDATE things SET note = 'both'").is_err(),
            "both sides write"
        );
        pair.until_equal()
    };
    let (monolith, service) = (&pair.monolith, &pair.service);
    for round in [0, 2] {
        let pen = pass(pair, &monolith.side, &service.side)?;
        ensure!(pen.epoch == round + 2 && pen.is_here(), "{pen:?}");
        write(service, monolith, round)?;
        let pen = pass(pair, &service.side, &monolith.side)?;
        ensure!(pen.epoch == round + 3 && pen.is_here(), "{pen:?}");
        write(monolith, service, round + 1)?;
    }
    let ids: Vec<String> = monolith.rows()?["things"]
        .iter()
        .map(|row| row["id"].as_str().unwrap_or_default().to_owned())
        .collect();
    // 1 and 2, and of each round two, of which the second is gone: a number that somebody saw is never given again.
    ensure!(ids == ["1", "2", "3", "5", "7", "9"], "{ids:?}");
    Ok(())
}

/// Whichever is first wins; the other is told to whom, and has changed nothing.
pub(crate) fn grant_or_abort(pair: &Pair) -> anyhow::Result<()> {
    pair.follow()?;
    let (monolith, service) = (&pair.monolith.side, &pair.service.side);
    for _ in 0..10 {
        let (pass, before) = (Uuid::new_v4(), pair.ask(monolith.status())?.pen);
        let fenced = pair.ask(monolith.fence(&fence(pass, before.epoch, "things", 20_000)))?;
        let proof = proof(pair, service, &fenced)?;
        let (grant, abort) = (
            Grant {
                pass,
                epoch: before.epoch,
                proof,
            },
            Abort {
                pass,
                epoch: before.epoch,
            },
        );
        let both = pair
            .runtime
            .block_on(async { tokio::join!(monolith.grant(&grant), monolith.abort(&abort)) });
        match both {
            (Ok(granted), Err(lost)) => {
                ensure!(lost.is("lost") && granted.state == State::Granted, "{lost}");
                let accepted = pair.ask(service.accept(&Accept { receipt: granted }))?;
                pair.ask(monolith.turn(&Turn { receipt: accepted }))?;
                self::pass(pair, service, monolith)?;
            }
            (Err(lost), Ok(aborted)) => {
                ensure!(
                    lost.is("lost") && aborted.is_here() && aborted.epoch == before.epoch + 2,
                    "{lost} {aborted:?}"
                );
                pair.monolith.write(pair, "UPDATE things SET note = 'goes on'")?;
            }
            other => anyhow::bail!("{other:?}"),
        }
    }
    Ok(())
}

/// Open transactions end first, or the fence gives up and they go on; afterwards none can commit.
pub(crate) fn open_transactions(pair: &Pair) -> anyhow::Result<()> {
    pair.monolith
        .rogue("INSERT INTO things (id, sku, note) VALUES (1, 'A', 'a')")?;
    pair.follow()?;
    let postgres = matches!(&*pair.monolith.db.connect()?, Conn::Postgres(_));
    let levels = if postgres {
        &["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"][..]
    } else {
        &[""][..]
    };
    for level in levels {
        let begin = if postgres {
            format!("BEGIN ISOLATION LEVEL {level}")
        } else {
            "BEGIN IMMEDIATE".to_owned()
        };
        let mut open = pair.monolith.db.connect()?;
        open.batch_execute(&begin)?;
        open.batch_execute("UPDATE things SET note = 'open'")?;
        let (pass, epoch) = (Uuid::new_v4(), pair.ask(pair.monolith.side.status())?.pen.epoch);
        if postgres {
            let began = Instant::now();
            let refused = pair
                .runtime
                .block_on(pair.monolith.side.fence(&fence(pass, epoch, "things", 20_000)));
            ensure!(
                refused.as_ref().is_err_and(|error| error.is("writers")),
                "{refused:?}"
            );
            ensure!(
                began.elapsed() < Duration::from_secs(3),
                "it took {:?}",
                began.elapsed()
            );
        }
        open.batch_execute("COMMIT")?;
        drop(open);
        if postgres {
            too_late(pair, &begin, pass, epoch)?;
        } else {
            fence_and_write(pair, pass, epoch)?;
        }
        pair.ask(pair.monolith.side.abort(&Abort { pass, epoch }))?;
        pair.until_equal()?;
    }
    Ok(())
}

/// A transaction that has read before the fence and writes after it is refused, whatever it has seen.
fn too_late(pair: &Pair, begin: &str, pass: Uuid, epoch: u64) -> anyhow::Result<()> {
    let mut early = pair.monolith.db.connect()?;
    early.batch_execute(begin)?;
    early.batch_execute("SELECT count(*) FROM things")?;
    pair.ask(pair.monolith.side.fence(&fence(pass, epoch, "things", 20_000)))?;
    ensure!(
        early
            .batch_execute("UPDATE things SET note = 'too late'")
            .is_err(),
        "{begin}: it wrote behind the fence"
    );
    early.batch_execute("ROLLBACK")?;
    fence_and_write(pair, pass, epoch)
}

fn fence_and_write(pair: &Pair, pass: Uuid, epoch: u64) -> anyhow::Result<()> {
    let fenced = pair.ask(pair.monolith.side.fence(&fence(pass, epoch, "things", 20_000)))?;
    ensure!(fenced.state == State::Fenced, "{fenced:?}");
    ensure!(
        pair.monolith
            .write(pair, "UPDATE things SET note = 'fenced'")
            .is_err(),
        "it wrote behind the fence"
    );
    ensure!(
        pair.service
            .write(pair, "UPDATE things SET note = 'fenced'")
            .is_err(),
        "the follower wrote"
    );
    Ok(())
}

/// No grant without the follower's word, and no acceptance without the rows, whatever anybody says.
pub(crate) fn proofs(pair: &Pair) -> anyhow::Result<()> {
    pair.follow()?;
    let (monolith, service) = (&pair.monolith.side, &pair.service.side);
    let (pass, epoch) = (Uuid::new_v4(), pair.ask(monolith.status())?.pen.epoch);
    let fenced = pair.ask(monolith.fence(&fence(pass, epoch, "things", 20_000)))?;
    let good = proof(pair, service, &fenced)?;
    for bad in [
        Proof {
            reached: None,
            ..good.clone()
        },
        Proof {
            reached: Some(Position {
                epoch: 0,
                number: u64::from(u32::MAX),
            }),
            ..good.clone()
        },
        Proof {
            side: "stranger".to_owned(),
            ..good.clone()
        },
        Proof {
            feed: Uuid::new_v4(),
            ..good.clone()
        },
    ] {
        let refused = pair.runtime.block_on(monolith.grant(&Grant {
            pass,
            epoch,
            proof: bad.clone(),
        }));
        ensure!(
            refused.as_ref().is_err_and(|error| error.is("proof")),
            "{bad:?}: {refused:?}"
        );
    }
    let granted = pair.ask(monolith.grant(&Grant {
        pass,
        epoch,
        proof: good,
    }))?;
    let mut beyond = granted.clone();
    beyond.position = granted.position.map(|at| Position {
        number: at.number + 1_000_000,
        ..at
    });
    let refused = pair.runtime.block_on(service.accept(&Accept { receipt: beyond }));
    let has_accepted = pair.ask(service.status())?.pen.is_here();
    // The service takes the pen by itself as soon as it sees the grant; then the false receipt comes too late for it.
    ensure!(
        has_accepted || refused.as_ref().is_err_and(|error| error.is("proof")),
        "{refused:?}"
    );
    pair.ask(service.accept(&Accept { receipt: granted }))?;
    Ok(())
}

/// Nobody coordinates any more: the holder goes on by itself, and says in which epoch.
pub(crate) fn expiry(pair: &Pair) -> anyhow::Result<()> {
    pair.follow()?;
    let (pass, epoch) = (Uuid::new_v4(), pair.ask(pair.monolith.side.status())?.pen.epoch);
    pair.ask(pair.monolith.side.fence(&fence(pass, epoch, "things", 1000)))?;
    pair.until("the fence has expired", || {
        Ok(pair.ask(pair.monolith.side.status())?.pen.is_here().then_some(()))
    })?;
    let pen = pair.ask(pair.monolith.side.status())?.pen;
    ensure!(pen.epoch == epoch + 2, "{pen:?}");
    pair.monolith.write(pair, "UPDATE things SET note = 'goes on'")?;
    let late = pair.runtime.block_on(pair.monolith.side.grant(&Grant {
        pass,
        epoch,
        proof: Proof {
            side: "things".to_owned(),
            feed: pen.feed,
            reached: Some(Position {
                epoch: 99,
                number: 99,
            }),
        },
    }));
    ensure!(late.as_ref().is_err_and(|error| error.is("lost")), "{late:?}");
    Ok(())
}

/// Every command twice, and every command of an old pass once more at the end.
pub(crate) fn repeated(pair: &Pair) -> anyhow::Result<()> {
    pair.follow()?;
    let (monolith, service) = (&pair.monolith.side, &pair.service.side);
    let (pass, epoch) = (Uuid::new_v4(), pair.ask(monolith.status())?.pen.epoch);
    let fence = fence(pass, epoch, "things", 20_000);
    let fenced = pair.ask(monolith.fence(&fence))?;
    ensure!(
        pair.ask(monolith.fence(&fence))? == fenced,
        "the second fence moved something"
    );
    let grant = Grant {
        pass,
        epoch,
        proof: proof(pair, service, &fenced)?,
    };
    let granted = pair.ask(monolith.grant(&grant))?;
    let again = pair.ask(monolith.grant(&grant))?;
    ensure!(
        (again.epoch, again.holder.as_str()) == (granted.epoch, "things"),
        "{again:?}"
    );
    let accept = Accept {
        receipt: granted.clone(),
    };
    let accepted = pair.ask(service.accept(&accept))?;
    ensure!(
        pair.ask(service.accept(&accept))? == accepted,
        "the second acceptance moved something"
    );
    let turn = Turn {
        receipt: accepted.clone(),
    };
    let turned = pair.ask(monolith.turn(&turn))?;
    ensure!(
        pair.ask(monolith.turn(&turn))? == turned,
        "the second turn moved something"
    );
    self::pass(pair, service, monolith)?;
    let before = [pair.ask(monolith.status())?.pen, pair.ask(service.status())?.pen];
    let late: Vec<Error> = pair.runtime.block_on(async {
        let all = [
            monolith.fence(&fence).await,
            monolith.grant(&grant).await,
            monolith.abort(&Abort { pass, epoch }).await,
            service.accept(&accept).await,
            monolith.turn(&turn).await,
        ];
        all.into_iter().filter_map(Result::err).collect()
    });
    ensure!(
        late.len() == 5 && late.iter().all(|error| error.is("lost")),
        "{late:?}"
    );
    let after = [pair.ask(monolith.status())?.pen, pair.ask(service.status())?.pen];
    ensure!(before == after, "a late command moved something");
    Ok(())
}
