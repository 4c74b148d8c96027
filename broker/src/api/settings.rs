//! The settings of topics, under Kafka's names: which there are, how their values are written, what is refused.

use crate::log::TopicConfig;

/// Kafka's numbers for the type of a value.
const STRING: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;
const LIST: i8 = 7;

/// A setting of a topic.
pub(super) struct Setting {
    /// Kafka's name for it.
    pub(super) name: &'static str,
    /// Kafka's number for the type of its values.
    pub(super) kind: i8,
    get: fn(&TopicConfig) -> String,
    set: fn(&mut TopicConfig, &str) -> Option<()>,
}

impl Setting {
    /// Its value, as Kafka writes it.
    pub(super) fn value(&self, config: &TopicConfig) -> String {
        (self.get)(config)
    }

    /// Whether a topic has another value than the default.
    pub(super) fn is_set(&self, config: &TopicConfig) -> bool {
        self.value(config) != self.value(&TopicConfig::default())
    }
}

/// All settings, in the order of their names.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "cleanup.policy",
        kind: LIST,
        get: |_| "delete".to_owned(),
        set: |_, value| (value == "delete").then_some(()),
    },
    Setting {
        name: "compression.type",
        kind: STRING,
        get: |_| "producer".to_owned(),
        set: |_, value| (value == "producer").then_some(()),
    },
    Setting {
        name: "max.message.bytes",
        kind: INT,
        get: |config| config.max_message_bytes.to_string(),
        set: |config, value| number(value, 0).map(|number| config.max_message_bytes = number),
    },
    Setting {
        name: "message.timestamp.type",
        kind: STRING,
        get: |config| if config.append_time { APPEND_TIME } else { CREATE_TIME }.to_owned(),
        set: |config, value| {
            config.append_time = value == APPEND_TIME;
            (config.append_time || value == CREATE_TIME).then_some(())
        },
    },
    Setting {
        name: "min.insync.replicas",
        kind: INT,
        get: |_| "1".to_owned(),
        set: |_, value| (value == "1").then_some(()),
    },
    Setting {
        name: "retention.bytes",
        kind: LONG,
        get: |config| config.retention_bytes.to_string(),
        set: |config, value| number(value, -1).map(|number| config.retention_bytes = number),
    },
    Setting {
        name: "retention.ms",
        kind: LONG,
        get: |config| config.retention_ms.to_string(),
        set: |config, value| number(value, -1).map(|number| config.retention_ms = number),
    },
    Setting {
        name: "segment.bytes",
        kind: INT,
        get: |config| config.segment_bytes.to_string(),
        set: |config, value| {
            let bytes = number::<i32>(value, MIN_SEGMENT_BYTES)?;
            config.segment_bytes = bytes.into();
            Some(())
        },
    },
];

const APPEND_TIME: &str = "LogAppendTime";
const CREATE_TIME: &str = "CreateTime";
/// Kafka's own lower limit.
const MIN_SEGMENT_BYTES: i32 = 14;

fn number<N: std::str::FromStr + PartialOrd>(value: &str, least: N) -> Option<N> {
    value.parse().ok().filter(|number| *number >= least)
}

/// Changes a setting of a topic; None restores the default. The error says why the broker refuses it.
pub(super) fn change(config: &mut TopicConfig, name: &str, value: Option<&str>) -> Result<(), String> {
    let setting = SETTINGS.iter().find(|setting| setting.name == name);
    let Some(setting) = setting else {
        let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        return Err(format!("unknown setting `{name}`; the embedded broker has {}", names.join(", ")));
    };
    let default = setting.value(&TopicConfig::default());
    let value = value.unwrap_or(&default);
    let mut changed = *config;
    (setting.set)(&mut changed, value).ok_or_else(|| format!("the embedded broker refuses `{name}={value}`"))?;
    *config = changed;
    Ok(())
}
