//! The trials.

use std::path::Path;
use std::process::Output;

use anyhow::{Context, ensure};
use banyan_tests::books::{Sums, same};
use banyan_tests::till::Till;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::ledger::Ledger;

/// Figures of the real books, from the description that comes with them.
const LINES: usize = 39_522;
const INVOICES: usize = 1_892;
const CANCELLATIONS: usize = 299;
const CUSTOMERS: usize = 922;
const PENCE: i64 = 68_149_886;

/// All lines are taken, what the shop says was sold is what the books say, and a second import changes nothing.
pub(super) fn real_books(till: &Till, books: &Path) -> anyhow::Result<()> {
    let ledger = Ledger::read(books)?;
    let counted = (
        ledger.lines,
        ledger.invoices.len(),
        ledger.cancellations(),
        ledger.customers.len(),
        ledger.pence,
    );
    ensure!(
        counted == (LINES, INVOICES, CANCELLATIONS, CUSTOMERS, PENCE),
        "these are other books: {counted:?}"
    );
    for time in 1..=2 {
        let summary = import(till, books, &[])?;
        let figures =
            ["lines", "taken", "invoices", "cancellations", "customers"].map(|name| summary[name].as_u64());
        let expected = [LINES, LINES, INVOICES, CANCELLATIONS, CUSTOMERS].map(|number| Some(number as u64));
        ensure!(figures == expected, "import {time} says {summary}");
        ensure!(summary["total"] == "681498.86", "import {time} says {summary}");
        till.runtime
            .block_on(adds_up(till, &ledger))
            .with_context(|| format!("after import {time}"))?;
    }
    till.runtime.block_on(case_counts(till))
}

/// Lines that cannot be taken are told with their number and reason; the others are taken.
pub(super) fn broken_books(till: &Till, _: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (file, rejects) = (folder.path().join("books.csv"), folder.path().join("rejects.csv"));
    let head = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";
    let lines = [
        "1,A,MUG,2,01/12/2010 08:26,2.50,7,United Kingdom",
        "2,B,CUP,many,01/12/2010 08:27,2.50,7,United Kingdom",
        "3,C,JUG,1,31/02/2010 08:28,2.50,7,United Kingdom",
        "4,D,POT,1,01/12/2010 08:29,2.505,7,United Kingdom",
        ",E,PAN,1,01/12/2010 08:30,2.50,7,United Kingdom",
        "6,F/G,LID,1,01/12/2010 08:31,2.50,7,United Kingdom",
        "7,H,JAR",
        "8,I,VAT,1,01/12/2010 08:32,1.00,,France",
    ];
    std::fs::write(&file, format!("{head}\n{}\n", lines.join("\n")))?;
    let summary = import(till, &file, &["--rejects", &rejects.display().to_string()])?;
    ensure!(
        (&summary["lines"], &summary["taken"]) == (&8.into(), &2.into()),
        "the summary says {summary}"
    );
    let told = std::fs::read_to_string(&rejects)?;
    for number in 3..=8 {
        let is_told = told
            .lines()
            .skip(1)
            .any(|line| line.starts_with(&format!("{number},")));
        ensure!(is_told, "line {number} is not among the rejects:\n{told}");
    }
    ensure!(
        told.lines().count() == 7,
        "the rejects hold something else:\n{told}"
    );
    let sold = till.runtime.block_on(report(till, "currency=GBP"))?;
    ensure!(sold["total"]["amount"] == 600, "what was taken adds up to {sold}");
    Ok(())
}

fn import(till: &Till, file: &Path, more: &[&str]) -> anyhow::Result<Value> {
    let mut command = till.command("monolith");
    command
        .args(["import", "online-retail"])
        .arg(file)
        .arg("--json")
        .args(more);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output()?;
    ensure!(
        status.success(),
        "the import ends with {status}: {}",
        String::from_utf8_lossy(&stderr)
    );
    serde_json::from_slice(&stdout).with_context(|| String::from_utf8_lossy(&stdout).into_owned())
}

async fn adds_up(till: &Till, ledger: &Ledger) -> anyhow::Result<()> {
    let sold = report(till, "currency=GBP").await?;
    ensure!(
        sold["total"] == serde_json::json!({ "amount": PENCE, "currency": "GBP" }),
        "the report says {sold}"
    );
    let figures = ["invoices", "credit_notes", "lines"].map(|name| sold[name].as_u64());
    let expected = [INVOICES, CANCELLATIONS, LINES].map(|number| Some(number as u64));
    ensure!(figures == expected, "the report says {sold}");
    same(&groups(till, "sku").await?, &ledger.by_code)?;
    same(&groups(till, "country").await?, &ledger.by_country)
}

async fn case_counts(till: &Till) -> anyhow::Result<()> {
    for code in ["85123A", "85123a"] {
        let (status, product) = till
            .send(Method::GET, &format!("/api/products/{code}"), None)
            .await?;
        ensure!(
            status == StatusCode::OK && product["sku"] == code,
            "{code}: {status} {product}"
        );
    }
    Ok(())
}

/// All groups of the sales report, page by page.
async fn groups(till: &Till, by: &str) -> anyhow::Result<Sums> {
    let mut sums = Sums::new();
    let mut cursor = String::new();
    loop {
        let page = report(till, &format!("group_by={by}&limit=100{cursor}")).await?;
        for group in page["groups"]["items"].as_array().context("groups")? {
            let number = |value: &Value| value.as_i64().context("a number");
            let key = group["key"].as_str().context("a key")?.to_owned();
            let sum = (number(&group["quantity"])?, number(&group["total"]["amount"])?);
            ensure!(sums.insert(key, sum).is_none(), "{} comes twice", group["key"]);
        }
        let Some(next) = page["groups"]["next"].as_str() else {
            return Ok(sums);
        };
        cursor = format!("&cursor={next}");
    }
}

async fn report(till: &Till, query: &str) -> anyhow::Result<Value> {
    let (status, report) = till
        .send(Method::GET, &format!("/api/reports/sales?{query}"), None)
        .await?;
    ensure!(status == StatusCode::OK, "{query}: {status} {report}");
    Ok(report)
}
