"""What the web UI asks of its server on the pages that show partitions, shortened to the fields that cost something."""

LAUNCH = """mutation LaunchPartitionBackfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""

BACKFILL = """query BackfillDetails($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status numPartitions error { message } runs { id status startTime endTime }
  assetBackfillData { assetBackfillStatuses { ... on AssetPartitionsStatusCounts { assetKey { path }
    numPartitionsTargeted numPartitionsInProgress numPartitionsMaterialized numPartitionsFailed } } } } } }"""

LATEST_INFO = """assetsLatestInfo(assetKeys: [$key]) { id unstartedRunIds inProgressRunIds
  latestRun { id status startTime endTime } }"""

METADATA = """metadataEntries { label description ... on TextMetadataEntry { text }
  ... on MarkdownMetadataEntry { mdStr } ... on FloatMetadataEntry { floatValue }
  ... on IntMetadataEntry { intValue } ... on BoolMetadataEntry { boolValue } }"""

MATERIALIZATION = f"""partition tags {{ key value }} runId timestamp stepKey label description {METADATA}
  runOrError {{ ... on PipelineRun {{ id mode status pipelineName }} }}"""

LIVE = f"""query AssetGraphLiveQuery($key: AssetKeyInput!) {{
  assetNodes(assetKeys: [$key], loadMaterializations: true) {{ id opNames assetKey {{ path }}
    assetMaterializations(limit: 1) {{ timestamp runId stepKey }}
    assetObservations(limit: 1) {{ timestamp runId stepKey }}
    assetChecksOrError {{ ... on AssetChecks {{ checks {{ name
      executionForLatestMaterialization {{ id runId status timestamp evaluation {{ severity }} }}
      partitionStatuses {{ ... on AssetCheckDefaultPartitionStatuses {{ succeededPartitions failedPartitions
        inProgressPartitions skippedPartitions executionFailedPartitions }} }} }} }} }}
    partitionStats {{ numMaterialized numMaterializing numPartitions numFailed }} }}
  {LATEST_INFO} }}"""

HEALTH = """query AssetHealthQuery($key: AssetKeyInput!) { assetsOrError(assetKeys: [$key]) {
  ... on AssetConnection { nodes { id latestMaterializationTimestamp
    assetHealth { assetHealth materializationStatus assetChecksStatus
      materializationStatusMetadata {
        ... on AssetHealthMaterializationHealthyPartitionedMeta { numMissingPartitions totalNumPartitions }
        ... on AssetHealthMaterializationDegradedPartitionedMeta {
          numMissingPartitions numFailedPartitions totalNumPartitions } } } } } } }"""

DEFINITION = """query AssetViewDefinitionQuery($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset { id
  hasDefinitionOrRecord assetMaterializations(limit: 1) { timestamp runId }
  definition { id groupName isExecutable opNames partitionDefinition { description
    dimensionTypes { type dynamicPartitionsDefinitionName } } partitionKeysByDimension { name }
    backfillPolicy { description } dependencyKeys { path } dependedByKeys { path } jobs { id name } } } } }"""

PARTITIONS = """query PartitionHealthQuery($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
  ... on AssetNode { id partitionKeysByDimension { name type partitionKeys }
    assetPartitionStatuses { ... on DefaultPartitionStatuses {
      materializedPartitions materializingPartitions failedPartitions } } } } }"""

EVENTS = f"""query RecentAssetEventsQuery($key: AssetKeyInput!) {{ {LATEST_INFO}
  assetOrError(assetKey: $key) {{ ... on Asset {{ id
    assetEventHistory(limit: 100, eventTypeSelectors: [MATERIALIZATION, OBSERVATION, FAILED_TO_MATERIALIZE]) {{
      cursor results {{ ... on MaterializationEvent {{ {MATERIALIZATION} }} }} }} }} }} }}"""

PARTITION = f"""query AssetPartitionDetailQuery($key: AssetKeyInput!, $partition: String!) {{
  assetOrError(assetKey: $key) {{ ... on Asset {{ id
    definition {{ id opNames latestRunForPartition(partition: $partition) {{ id status endTime }} }}
    assetEventHistory(partitions: [$partition], limit: 1000,
      eventTypeSelectors: [MATERIALIZATION, OBSERVATION, FAILED_TO_MATERIALIZE]) {{
      results {{ ... on MaterializationEvent {{ {MATERIALIZATION} }} }} }} }} }} }}"""

ASSET_PAGE = {"definition": DEFINITION, "live status": LIVE, "health": HEALTH, "events": EVENTS}
PARTITION_PAGES = {"all partitions": PARTITIONS, "one partition": PARTITION}
